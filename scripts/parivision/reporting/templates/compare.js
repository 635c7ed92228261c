(() => {
  "use strict";
  const runs = RUNS;
  const pick = (id) => document.getElementById(id);
  const [a, b, which, rows, said] = ["a", "b", "which", "rows", "said"].map(pick);
  for (const select of [a, b]) {
    for (const run of runs) {
      const option = document.createElement("option");
      option.value = run.id;
      option.textContent = run.name;
      select.append(option);
    }
  }
  const show = (value) => {
    if (value === null || value === undefined || value === "") return "–";
    if (typeof value !== "number") return String(value);
    if (Number.isInteger(value)) return value.toLocaleString("en-US");
    return Math.abs(value) < 1000 ? String(Number(value.toPrecision(5))) : Math.round(value).toLocaleString("en-US");
  };
  const cell = (tag, text, kind) => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const draw = () => {
    const [before, after] = [a, b].map((select) => runs.find((run) => run.id === select.value));
    rows.replaceChildren();
    let differ = 0;
    for (const group of new Set([...Object.keys(before.figures), ...Object.keys(after.figures)])) {
      const [old, now] = [before, after].map((run) => run.figures[group] ?? {});
      for (const name of new Set([...Object.keys(old), ...Object.keys(now)])) {
        const same = (old[name] ?? null) === (now[name] ?? null);
        if (!same) differ += 1;
        if (same && which.value === "differ") continue;
        const numbers = typeof old[name] === "number" && typeof now[name] === "number";
        const change = numbers && !same ? now[name] - old[name] : null;
        const row = document.createElement("tr");
        const head = cell("th", `${group}: ${name}`);
        head.scope = "row";
        const sign = change !== null && change > 0 ? "+" : "";
        row.append(head, cell("td", show(old[name]), "long"), cell("td", show(now[name]), "long"), cell("td", change === null ? "" : sign + show(change), "number"));
        rows.append(row);
      }
    }
    said.textContent = differ === 0 ? "Nothing differs." : `${differ} figures differ.`;
    history.replaceState(null, "", `#a=${encodeURIComponent(a.value)}&b=${encodeURIComponent(b.value)}&show=${which.value}`);
  };
  const choose = () => {
    const wanted = new URLSearchParams(location.hash.slice(1));
    const known = (name, otherwise) => (runs.some((run) => run.id === wanted.get(name)) ? wanted.get(name) : otherwise);
    a.value = known("a", runs[Math.min(1, runs.length - 1)].id);
    b.value = known("b", runs[0].id);
    which.value = wanted.get("show") === "all" ? "all" : "differ";
    draw();
  };
  for (const select of [a, b, which]) select.addEventListener("change", draw);
  addEventListener("hashchange", choose);
  choose();
})();
