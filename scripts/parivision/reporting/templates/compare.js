// Shows what differs between the two chosen runs, as `run_facts.differences` says it; the choice is in the address.
(function () {
  "use strict";
  const NOTHING = "–", EVERYTHING = "everything";
  const runs = new Map(JSON.parse(document.getElementById("runs").textContent).map((run) => [run.id, run]));
  const chosen = { a: document.getElementById("a"), b: document.getElementById("b") };
  const table = document.getElementById("differences");
  const said = document.getElementById("said");

  // A fact: section, name, text, value in units of its last digit (or null), digits, unit.
  function decimal(scaled, digits) {
    const units = String(Math.abs(scaled)).padStart(digits + 1, "0");
    const whole = digits ? units.slice(0, -digits) : units;
    const apart = whole.replace(/\B(?=(\d{3})+$)/g, ",");
    return (scaled < 0 ? "−" : "") + apart + (digits ? "." + units.slice(-digits) : "");
  }
  function change(a, b) {
    if (!a || !b || a[3] === null || b[3] === null || a[5] !== b[5]) return "";
    const digits = Math.max(a[4], b[4]);
    const by = b[3] * 10 ** (digits - b[4]) - a[3] * 10 ** (digits - a[4]);
    return (by > 0 ? "+" : "") + decimal(by, digits) + (b[5] ? " " + b[5] : "");
  }
  function bySection(run) {
    const sections = new Map();
    for (const fact of run.facts) {
      if (!sections.has(fact[0])) sections.set(fact[0], new Map());
      sections.get(fact[0]).set(fact[1], fact);
    }
    return sections;
  }
  function differences(a, b) {
    const first = bySection(a), second = bySection(b), found = [];
    for (const section of new Set([...first.keys(), ...second.keys()])) {
      const ones = first.get(section) || new Map(), others = second.get(section) || new Map();
      let rows = [...new Set([...ones.keys(), ...others.keys()])].map((name) => {
        const one = ones.get(name), other = others.get(name);
        return [name, one ? one[2] : NOTHING, other ? other[2] : NOTHING, change(one, other)];
      });
      if (!ones.size || !others.size) {
        const counts = [ones, others].map((known) => (known.size ? known.size + " facts" : NOTHING));
        rows = [[EVERYTHING, ...counts, ""]];
      }
      rows = rows.filter((row) => row[1] !== row[2]);
      if (rows.length) found.push([section, rows]);
    }
    return found;
  }

  function cell(row, kind, content, name) {
    const made = document.createElement(kind);
    made.textContent = content;
    if (name) made.className = name;
    row.append(made);
    return made;
  }
  function named(label, run) {
    const made = document.createElement(run.page ? "a" : "span");
    made.textContent = label + ": " + run.name;
    if (run.page) made.href = run.page;
    return made;
  }
  function show() {
    const a = runs.get(chosen.a.value), b = runs.get(chosen.b.value);
    let count = 0;
    for (const body of [...table.tBodies]) body.remove();
    for (const [section, rows] of differences(a, b)) {
      const body = table.createTBody();
      const head = body.insertRow();
      head.className = "section";
      const title = cell(head, "th", section.charAt(0).toUpperCase() + section.slice(1));
      title.scope = "rowgroup";
      title.colSpan = 4;
      for (const [name, one, other, by] of rows) {
        const row = body.insertRow();
        cell(row, "th", name).scope = "row";
        for (const text of [one, other]) cell(row, "td", text, text.length > 40 ? "long" : "");
        cell(row, "td", by, "number");
        count += 1;
      }
    }
    table.hidden = count === 0;
    const result = a === b ? "Both are the same run." : count ? count + " differences" : "No difference.";
    said.replaceChildren(named("A", a), " · ", named("B", b), " · ", result);
  }
  function read() {
    const asked = new URLSearchParams(location.hash.slice(1));
    for (const side of ["a", "b"]) if (runs.has(asked.get(side))) chosen[side].value = asked.get(side);
    show();
  }
  function write() {
    location.hash = new URLSearchParams({ a: chosen.a.value, b: chosen.b.value }).toString();
  }

  // The newest run against the one before it, unless the address says otherwise.
  chosen.a.selectedIndex = Math.min(1, runs.size - 1);
  chosen.b.selectedIndex = 0;
  chosen.a.addEventListener("change", write);
  chosen.b.addEventListener("change", write);
  window.addEventListener("hashchange", read);
  read();
})();
