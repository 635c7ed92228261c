// Shows the page's widget: a line to its kernel (Jupyter's v1 websocket protocol, of which only the widget's own messages
// pass), and the widget's module, which the server serves like any file. Says so when the kernel has gone: what the page
// shows is in its address, so loading it again goes on exactly there.
const SUBPROTOCOL = "v1.kernel.websocket.jupyter.org";
const ENDED = 4001; // close code of the server: the kernel is no more
const READY_MS = 25000;
const TRIES = 6;

const html = document.documentElement;
const place = document.getElementById("pv-view");
const notice = document.getElementById("pv-notice");

function say(text, reload) {
  notice.textContent = text;
  notice.hidden = !text;
  if (!reload) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "pv-go";
  button.textContent = "Reload";
  button.addEventListener("click", () => location.reload());
  notice.append(" ", button);
}

const coder = new TextEncoder();
const decoder = new TextDecoder();

function pack(channel, parts) {
  const texts = [channel, ...parts.map((part) => JSON.stringify(part))].map((text) => coder.encode(text));
  const head = 8 * (texts.length + 2);
  const packed = new Uint8Array(head + texts.reduce((sum, text) => sum + text.length, 0));
  const view = new DataView(packed.buffer);
  view.setBigUint64(0, BigInt(texts.length + 1), true);
  let offset = head;
  texts.forEach((text, i) => {
    view.setBigUint64(8 * (i + 1), BigInt(offset), true);
    packed.set(text, offset);
    offset += text.length;
  });
  view.setBigUint64(8 * (texts.length + 1), BigInt(offset), true);
  return packed.buffer;
}

function unpack(buffer) {
  const view = new DataView(buffer);
  const offset = (i) => Number(view.getBigUint64(8 * (i + 1), true));
  const part = (i) => JSON.parse(decoder.decode(buffer.slice(offset(i), offset(i + 1))));
  return { header: part(1), content: () => part(4) };
}

class Line {
  constructor(kernel, widget) {
    this.kernel = kernel;
    this.widget = widget;
    this.session = crypto.getRandomValues(new Uint32Array(4)).join("-");
    this.address = `${html.dataset.base}api/kernels/${kernel}`;
    this.number = 0;
    this.tries = 0;
    this.left = false;
    this.waiting = [];
    this.listeners = new Set();
    this.connect();
  }

  connect() {
    const address = new URL(`${this.address}/channels?session_id=${this.session}`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    this.socket = new WebSocket(address, SUBPROTOCOL);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.tries = 0;
      say("");
      for (const message of this.waiting.splice(0)) this.socket.send(message);
    };
    this.socket.onmessage = ({ data }) => {
      const { header, content } = unpack(data);
      if (header.msg_type !== "comm_msg") return;
      const { comm_id, data: sent } = content();
      if (comm_id !== this.widget || sent.method !== "custom") return;
      for (const listener of [...this.listeners]) listener(sent.content, []);
    };
    this.socket.onclose = ({ code }) => this.closed(code);
  }

  async closed(code) {
    if (this.left) return;
    let ended = code === ENDED;
    if (!ended) {
      try {
        ended = (await fetch(this.address)).status === 404;
      } catch {
        // The server or the way to it is down; it may come back.
      }
    }
    if (ended || this.tries >= TRIES) {
      const why = ended ? "This page's session has ended." : "The server can't be reached.";
      say(`${why} Reload to go on exactly here.`, true);
      return;
    }
    say("The connection was lost. Trying again…");
    setTimeout(() => this.connect(), 500 * 2 ** this.tries++);
  }

  send(content) {
    const header = {
      msg_id: `${this.session}-${++this.number}`,
      msg_type: "comm_msg",
      session: this.session,
      username: "",
      date: new Date().toISOString(),
      version: "5.3",
    };
    const message = pack("shell", [header, {}, {}, { comm_id: this.widget, data: { method: "custom", content } }]);
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(message);
    else this.waiting.push(message);
  }

  leave() {
    this.left = true;
    navigator.sendBeacon(this.address);
    this.socket.close();
  }
}

async function show() {
  if (!place?.dataset.widget) {
    say("This page could not be built. The server's log says why.", true);
    return;
  }
  const line = new Line(place.dataset.kernel, place.dataset.widget);
  addEventListener("pagehide", () => line.leave());
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  setTimeout(() => html.dataset.ready || say("This page does not get ready.", true), READY_MS);
  // What the widget's module expects of a model, by the names that anywidget has for it.
  const model = {
    on: (name, listener) => name === "msg:custom" && line.listeners.add(listener),
    off: (name, listener) => name === "msg:custom" && line.listeners.delete(listener),
    send: (content) => line.send(content),
  };
  const widget = await import(document.querySelector("link[rel=modulepreload]").href);
  widget.default.render({ model, el: place });
}

show();
