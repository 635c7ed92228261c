// Keeps the states of the services fresh while somebody looks at the page. Text only: nothing that a service says
// becomes markup.
"use strict";
(() => {
  const LOOKS = { "up": ["✓", "good"], "down": ["✗", "bad"], "not set up": ["–", "muted"] };
  const EVERY_MS = 10_000;
  const counts = document.getElementById("counts");
  const asked = document.getElementById("asked");
  if (!counts || !asked) return;

  const write = (element, text) => {
    if (element && element.textContent !== text) element.textContent = text;
  };
  const minute = (iso) => (iso ? `${iso.slice(0, 16).replace("T", " ")} UTC` : "");

  const show = (service) => {
    const card = document.querySelector(`[data-service="${CSS.escape(service.name)}"]`);
    if (!card) return;
    const [sign, style] = LOOKS[service.state] || ["·", "muted"];
    card.dataset.state = service.state;
    const state = card.querySelector(".state");
    state.className = `state ${style}`;
    write(state.children[0], sign);
    write(state.children[1], service.state);
    write(card.querySelector(".said"), service.said);
    const facts = [];
    if (service.milliseconds !== null) facts.push(`answered in ${Math.round(service.milliseconds)} ms`);
    if (service.since) facts.push(`since ${minute(service.since)}`);
    write(card.querySelector(".facts"), facts.join(" · "));
  };

  const look = async () => {
    try {
      const answer = await fetch("services.json", { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      const found = await answer.json();
      found.services.forEach(show);
      const parts = Object.entries(found.counts).filter(([state, n]) => n > 0 || state === "up");
      write(counts, parts.map(([state, n]) => `${n} ${state}`).join(", "));
      write(asked, `${found.at.slice(0, 19).replace("T", " ")} UTC`);
    } catch {
      write(counts, "The portal does not answer; these states are old.");
    }
  };

  setInterval(() => { if (!document.hidden) look(); }, EVERY_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
  look();
})();
