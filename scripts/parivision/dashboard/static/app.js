// The browser part of the dashboard. Python decides what a page shows; this sends what the reader did, puts the answer's
// HTML in place, draws its figures, and keeps the address bar a link to what is seen. It knows no page by name.
/* global Idiomorph */

const ANSWER_MS = 30000; // after so long without an answer the kernel is taken for gone
const BUSY_MS = 150; // a quicker answer needs no sign of work

function render({ model, el }) {
  const html = document.documentElement;
  const served = html.dataset.base !== undefined; // by the dashboard's server, whose address is ours to write
  const root = document.createElement("div");
  root.className = "pv";
  root.innerHTML =
    '<a class="pv-skip" href="#pv-main">Skip to the content</a><div class="pv-busy" hidden></div>' +
    '<header data-part="header"></header><div data-part="lists" hidden></div>' +
    '<div class="pv-alert" role="alert" hidden></div><main id="pv-main" tabindex="-1" data-part="main"></main>' +
    '<p class="pv-read" role="status" aria-live="polite"></p><dialog class="pv-share" aria-labelledby="pv-share-title"></dialog>';
  el.replaceChildren(root);
  const part = (name) => root.querySelector(`[data-part="${name}"]`);
  const alertBox = root.querySelector(".pv-alert");
  const busyBar = root.querySelector(".pv-busy");
  const readOut = root.querySelector(".pv-read");
  const shareBox = root.querySelector(".pv-share");

  let page = "";
  let query = "";
  let share = "";
  let dark = {}; // colour of a light figure -> of a dark one
  const figures = new Map(); // "page/id" -> plotly JSON
  const sorted = new Map(); // "page/table" -> [column, direction]
  const drawn = new WeakMap(); // element -> what was drawn in it

  // --- messages -----------------------------------------------------------------------------------------------------
  let number = 0;
  let awaited = 0;
  let waiting = null; // the newest event that came while an answer was awaited; older ones no longer matter
  let timers = [];

  function say(message) {
    if (message.type === "csv" || message.type === "file") {
      model.send({ ...message, number: 0 }); // changes nothing on the page, so nothing waits for it
      return;
    }
    if (awaited) {
      waiting = message;
      return;
    }
    awaited = ++number;
    timers.forEach(clearTimeout);
    timers = [setTimeout(() => busy(true), BUSY_MS), setTimeout(lost, ANSWER_MS)];
    model.send({ ...message, number: awaited });
  }

  function busy(is) {
    busyBar.hidden = !is;
    part("main").setAttribute("aria-busy", String(is));
  }

  function lost() {
    busy(false);
    complain("The connection to this page's session has ended. Reload to go on exactly here.", true);
  }

  function complain(text, reload = false) {
    alertBox.hidden = !text;
    alertBox.textContent = text;
    if (!reload) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Reload";
    button.addEventListener("click", () => location.reload());
    alertBox.append(" ", button);
  }

  function received(message) {
    if (message.type === "plotly") return;
    if (message.type === "file") {
      save(message);
      return;
    }
    if (message.type === "error") complain(message.text);
    if (message.answers !== awaited) return;
    timers.forEach(clearTimeout);
    awaited = 0;
    busy(false);
    if (message.type === "show") show(message);
    if (waiting) {
      const next = waiting;
      waiting = null;
      say(next.type === "change" ? { ...next, values: values() } : next);
    }
  }
  model.on("msg:custom", received);

  // --- what the server answered -----------------------------------------------------------------------------------
  function show(message) {
    complain("");
    const first = message.page !== page;
    const turned = page !== "" && first;
    page = message.page;
    dark = message.dark;
    share = message.share;
    for (const [name, text] of Object.entries(message.parts)) place(name, text);
    for (const [name, figure] of Object.entries(message.figures)) {
      figures.set(`${page}/${name}`, figure);
      root.querySelector(`[data-figure="${name}"]`)?.removeAttribute("data-drawn");
    }
    if (message.query !== query || turned) write(message.query, turned);
    query = message.query;
    readOut.textContent = message.sentence;
    if (served) document.title = message.title;
    // On a narrow screen the answer comes first, and the choices are a tap away.
    if (first && matchMedia("(max-width: 62rem)").matches) root.querySelector(".pv-choices")?.removeAttribute("open");
    links();
    sortAgain();
    setTimeout(draw); // the numbers are seen before the figures are drawn
    if (turned) {
      window.scrollTo(0, 0);
      part("main").focus({ preventScroll: true });
    }
    root.dataset.shown = String(number); // tests and the skeleton wait for it
    html.dataset.ready = "1";
  }

  function place(name, text) {
    // What the reader is typing stays as he typed it; a figure's inside belongs to plotly.
    Idiomorph.morph(part(name), text, {
      morphStyle: "innerHTML",
      ignoreActiveValue: true,
      callbacks: {
        beforeNodeMorphed: (old, now) => {
          if (old.dataset?.figure && now.dataset?.figure === old.dataset.figure) {
            for (const a of now.attributes) old.setAttribute(a.name, a.value);
            return false;
          }
          if (old.tagName === "DETAILS" && now.tagName === "DETAILS") now.open = old.open; // the reader's choice stays
          return true;
        },
        afterNodeMorphed: (old, now) => {
          // An attribute set by the server is not yet what a used control shows.
          if (old.tagName === "INPUT" && old !== document.activeElement) {
            if (old.type === "checkbox" || old.type === "radio") old.checked = now.hasAttribute("checked");
            else old.value = now.getAttribute("value") ?? "";
          }
          if (old.tagName === "SELECT" && old !== document.activeElement) for (const o of old.options) o.selected = o.hasAttribute("selected");
        },
      },
    });
  }

  function address(name, text) {
    return `${html.dataset.base ?? "/"}${name}${text ? `?${text}` : ""}`;
  }

  function write(text, turned) {
    if (!served) return;
    const method = turned ? "pushState" : "replaceState";
    history[method]({ page }, "", address(page, text));
  }

  function links() {
    for (const a of root.querySelectorAll("a[data-page]")) a.href = address(a.dataset.page, a.dataset.query);
    for (const a of root.querySelectorAll("a[data-href]")) a.href = `${html.dataset.base ?? "/"}${a.dataset.href}`;
  }

  function save(file) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([file.text], { type: `${file.mime};charset=utf-8` }));
    link.download = file.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // --- what the reader does ----------------------------------------------------------------------------------------
  function values() {
    const found = {};
    for (const input of root.querySelectorAll("[name]")) {
      if (input.name.startsWith("do:") || input.disabled) continue;
      if ((input.type === "checkbox" || input.type === "radio") && !input.checked) continue;
      const all = input.multiple ? [...input.selectedOptions].map((o) => o.value) : [input.value];
      // Lengths are shown in the reader's units and sent in feet.
      const scale = Number(input.dataset.scale ?? 1);
      const sent = all.map((v) => (scale === 1 || v === "" ? v : String(Math.round((v / scale) * 1e4) / 1e4)));
      (found[input.name] ??= []).push(...sent);
    }
    return found;
  }

  const changed = () => say({ type: "change", page, values: values() });
  const go = (name, text) => say({ type: "go", page: name, query: text });

  function act(control) {
    const name = control.name.slice(3);
    const value = control.value;
    if (control.tagName === "INPUT") control.value = ""; // a search field is emptied once its choice is taken
    say({ type: "do", page, name, value, values: values() });
  }

  root.addEventListener("submit", (event) => event.preventDefault());
  root.addEventListener("change", (event) => {
    const control = event.target;
    if (!control.name) return;
    if (control.name.startsWith("do:")) {
      if (control.value) act(control);
    } else if (control.checkValidity()) changed();
    else control.reportValidity();
  });
  root.addEventListener("input", (event) => {
    // A slider answers while it is moved; and a choice from a list of suggestions needs no Enter.
    const control = event.target;
    if (control.type === "range") {
      const output = root.querySelector(`output[for="${control.id}"]`);
      if (output && control.dataset.live !== undefined) output.value = control.value;
      changed();
    } else if (control.list && control.name && [...control.list.options].some((o) => o.value === control.value)) {
      control.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });
  root.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-page]");
    if (link && served && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
      event.preventDefault();
      go(link.dataset.page, link.dataset.query);
      return;
    }
    if (link && !served) {
      event.preventDefault();
      go(link.dataset.page, link.dataset.query);
      return;
    }
    const button = event.target.closest("button");
    if (!button) return;
    if (button.name?.startsWith("do:")) act(button);
    else if (button.dataset.csv) say({ type: "csv", page, name: button.dataset.csv, values: values() });
    else if (button.dataset.file) say({ type: "file", page, name: button.dataset.file, values: values() });
    else if (button.dataset.png) picture(button.dataset.png);
    else if (button.dataset.sort) sort(button);
    else if (button.dataset.act === "theme") turn();
    else if (button.dataset.act === "share") shareLink();
  });
  if (served) {
    window.addEventListener("popstate", () => {
      const name = location.pathname.slice(html.dataset.base.length);
      query = location.search.slice(1);
      go(name, query);
    });
  }

  function shareLink() {
    const link = served ? location.origin + address(page, share) : `${page}?${share}`;
    shareBox.innerHTML =
      '<form method="dialog"><h2 id="pv-share-title">Share this view</h2><p>The link shows exactly this: the filters, the data as they are today, and the same model.</p>' +
      '<label for="pv-link">Link</label><input id="pv-link" readonly><div class="pv-row"><button type="button" class="pv-primary">Copy link</button><button value="close">Close</button></div><p role="status"></p></form>';
    const input = shareBox.querySelector("input");
    input.value = link;
    shareBox.querySelector(".pv-primary").addEventListener("click", async () => {
      input.select();
      let done = true;
      try {
        await navigator.clipboard.writeText(link);
      } catch {
        done = document.execCommand("copy"); // without https the newer way is refused
      }
      shareBox.querySelector("[role=status]").textContent = done ? "Copied." : "Press Ctrl+C to copy.";
    });
    shareBox.showModal();
    input.select();
  }

  // --- tables --------------------------------------------------------------------------------------------------------
  function sort(button) {
    const table = button.closest("table");
    const column = [...button.closest("tr").children].indexOf(button.closest("th"));
    const key = `${page}/${table.dataset.table}`;
    const [before, way] = sorted.get(key) ?? [];
    const first = table.tBodies[0].rows[0]?.cells[column]?.dataset.value === undefined ? 1 : -1; // numbers: largest first
    sorted.set(key, [column, before === column ? -way : first]);
    sortAgain();
  }

  function sortAgain() {
    for (const table of root.querySelectorAll("table[data-table]")) {
      const [column, way] = sorted.get(`${page}/${table.dataset.table}`) ?? [];
      if (column === undefined) continue;
      const body = table.tBodies[0];
      const key = (row) => {
        const cell = row.cells[column];
        return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
      };
      const rows = [...body.rows].map((row) => [key(row), row]);
      rows.sort(([a], [b]) => {
        if (typeof a === "string" || typeof b === "string") return way * String(a).localeCompare(String(b));
        if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b); // unknown last, either way
        return way * (a - b);
      });
      body.append(...rows.map(([, row]) => row));
      [...table.tHead.rows[0].cells].forEach((th, i) => {
        if (i === column) th.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
        else th.removeAttribute("aria-sort");
      });
    }
  }

  // --- figures -------------------------------------------------------------------------------------------------------
  const inDark = () => root.dataset.theme === "dark";

  function coloured(figure) {
    if (!inDark()) return figure;
    return JSON.parse(JSON.stringify(figure).replace(/#[0-9a-f]{6}\b/gi, (c) => dark[c.toLowerCase()] ?? c));
  }

  async function draw() {
    const boxes = [...root.querySelectorAll("[data-figure]")];
    if (!boxes.length) return;
    const Plotly = await library();
    for (const box of boxes) {
      const figure = figures.get(`${page}/${box.dataset.figure}`);
      if (!figure || !box.isConnected) continue;
      const key = `${root.dataset.theme} ${box.clientWidth}`;
      const last = drawn.get(box);
      if (last && last.figure === figure && last.key === key) continue;
      drawn.set(box, { figure, key });
      const { data, layout } = coloured(figure);
      const ratio = layout.meta?.height_per_width;
      const fixed = ratio ? { height: Math.round(box.clientWidth * ratio) + (layout.meta.extra_px ?? 0) } : {};
      await Plotly.react(
        box,
        data,
        { ...layout, ...fixed, autosize: true, width: undefined, dragmode: false, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)" },
        { responsive: false, displayModeBar: false, scrollZoom: false, doubleClick: false, showTips: false },
      );
      box.dataset.drawn = "1";
      if (box.dataset.pick) pickable(box);
      await new Promise((next) => setTimeout(next)); // a click between two figures is not kept waiting
    }
  }

  let plotly = null;
  function library() {
    if (window.Plotly) return Promise.resolve(window.Plotly);
    plotly ??= new Promise((resolve) => {
      const script = document.createElement("script");
      script.addEventListener("load", () => resolve(window.Plotly));
      if (html.dataset.plotly) {
        script.src = html.dataset.plotly;
      } else {
        // In JupyterLab nobody serves it, so the kernel sends its own copy.
        model.on("msg:custom", function once(message) {
          if (message.type !== "plotly") return;
          model.off("msg:custom", once);
          script.src = URL.createObjectURL(new Blob([message.script], { type: "text/javascript" }));
          document.head.append(script);
        });
        model.send({ type: "plotly" });
        return;
      }
      document.head.append(script);
    });
    return plotly;
  }

  async function picture(name) {
    const box = root.querySelector(`[data-figure="${name}"]`);
    const Plotly = await library();
    const ground = getComputedStyle(root).getPropertyValue("--paper").trim();
    const size = { width: box.clientWidth, height: box.clientHeight };
    const copy = { data: box.data, layout: { ...box.layout, ...size, paper_bgcolor: ground }, config: {} };
    await Plotly.downloadImage(copy, { format: "png", scale: 2, ...size, filename: `parivision-${page}-${name}`.replaceAll("_", "-") });
  }

  // A figure with data-pick="x y" lets the reader point at a place: its two number inputs are set and sent.
  function pickable(box) {
    const names = box.dataset.pick.split(/[ ,]+/);
    const inputs = () => names.map((name) => root.querySelector(`[name="${name}"]`));
    const limits = (input) => [input.min, input.max].map((v) => (v === "" ? null : Number(v)));
    const set = (feet) => {
      inputs().forEach((input, i) => {
        const scale = Number(input.dataset.scale ?? 1);
        const [low, high] = limits(input);
        let value = feet[i] * scale;
        if (low !== null) value = Math.max(low, value);
        if (high !== null) value = Math.min(high, value);
        input.value = value.toFixed(scale === 1 ? 1 : 2);
      });
      changed(); // first, so that the kernel works while the mark moves
      const at = inputs().map((input) => Number(input.value) / Number(input.dataset.scale ?? 1));
      const trace = (box.data ?? []).findIndex((t) => t.meta === "pick");
      if (trace >= 0) window.Plotly.restyle(box, { x: [[at[0]]], y: [[at[1]]] }, [trace]); // the mark follows at once
    };
    const place = (event) => {
      const { xaxis, yaxis } = box._fullLayout;
      const frame = box.getBoundingClientRect();
      return [xaxis.p2d(event.clientX - frame.left - xaxis._offset), yaxis.p2d(event.clientY - frame.top - yaxis._offset)];
    };
    if (box.dataset.picking) return;
    box.dataset.picking = "1";
    let held = false;
    box.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      held = true;
      box.setPointerCapture(event.pointerId);
      box.focus({ preventScroll: true });
      set(place(event));
    });
    box.addEventListener("pointermove", (event) => held && set(place(event)));
    for (const end of ["pointerup", "pointercancel"]) box.addEventListener(end, () => (held = false));
    box.addEventListener("keydown", (event) => {
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!way) return;
      event.preventDefault();
      const step = event.shiftKey ? 0.1 : 1;
      const [x, y] = inputs().map((input) => Number(input.value) / Number(input.dataset.scale ?? 1));
      set([x + step * way[0], y + step * way[1]]);
    });
  }

  const resized = new ResizeObserver(() => requestAnimationFrame(draw));
  resized.observe(root);
  // A figure in a closed <details> has no width until it is opened.
  root.addEventListener("toggle", () => draw(), true);

  // --- light and dark --------------------------------------------------------------------------------------------------
  const prefers = window.matchMedia("(prefers-color-scheme: dark)");
  function dress() {
    let chosen = null;
    try {
      chosen = localStorage.getItem("parivision-theme");
    } catch {
      // Without storage the system's choice holds.
    }
    root.dataset.theme = chosen ?? (prefers.matches ? "dark" : "light");
    if (served) html.dataset.theme = root.dataset.theme;
    draw();
  }
  function turn() {
    try {
      localStorage.setItem("parivision-theme", inDark() ? "light" : "dark");
    } catch {
      root.dataset.theme = inDark() ? "light" : "dark";
      draw();
      return;
    }
    dress();
  }
  prefers.addEventListener("change", dress);
  dress();

  // --- open ------------------------------------------------------------------------------------------------------------
  const opened = served ? location.pathname.slice(html.dataset.base.length).split(/[./]/)[0] : "";
  query = served ? location.search.slice(1) : "";
  say({ type: "open", page: opened, query });
  return () => {
    resized.disconnect();
    prefers.removeEventListener("change", dress);
    timers.forEach(clearTimeout);
    model.off("msg:custom", received);
  };
}

export default { render };
