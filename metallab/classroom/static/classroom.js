// The pages of lesson.serve: forms without a reload, the live picture, terminals.

const said = document.getElementById("said");
const pane = document.getElementById("pane");
const socket = (path) => new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}${path}`);
const TITLES = { good: "Good.", bad: "Not yet.", trouble: "That could not be done." };

function say(tone, words, ...more) {
  said.className = `said ${tone}`;
  const strong = document.createElement("strong");
  strong.textContent = TITLES[tone] ?? "";
  const paragraphs = [words, ...more].filter(Boolean).map((text) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = text;
    return paragraph;
  });
  if (strong.textContent) paragraphs[0].prepend(strong, " ");
  said.replaceChildren(...paragraphs);
}

// -- forms: one thing at a time --------------------------------------------------------------------------------

let busy = false;

function work(on) {
  busy = on;
  for (const button of document.querySelectorAll("form button")) button.disabled = on;
}

async function post(form, action) {
  work(true);
  say("", "One moment.");
  try {
    const answer = await fetch(action, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    if (!answer.ok) throw new Error(await answer.text());
    return await answer.json();
  } catch (error) {
    const gone = error instanceof TypeError;
    say("trouble", gone ? "The pages are not served any more. Start ./inv lesson.serve again." : error.message);
    return null;
  } finally {
    work(false);
  }
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  if (busy || (form.dataset.ask && !confirm(form.dataset.ask))) return;
  const action = event.submitter?.getAttribute("formaction") ?? form.getAttribute("action");
  const before = pane?.firstElementChild?.dataset.mark;
  const answer = await post(form, action);
  if (!answer) return;
  if (answer.said.tone === "good" && form.dataset.then) {
    location.assign(form.dataset.then);
    return;
  }
  if (pane && answer.pane) show(answer.pane);
  const { tone, words, fix, id } = answer.said;
  say(tone, words, fix, id && `${id}: ./inv explain ${id}`);
  const moved = pane && pane.firstElementChild?.dataset.mark !== before && action !== "/hint";
  if (moved) document.getElementById("step")?.focus();
});

function show(html) {
  pane.innerHTML = html; // made by our own server, from its own templates
  dress();
}

function dress() {
  for (const typed of pane?.querySelectorAll("pre") ?? []) {
    const frame = document.createElement("div");
    frame.className = "typed";
    typed.replaceWith(frame);
    const copy = document.createElement("button");
    copy.className = "copy";
    copy.type = "button";
    copy.textContent = "Copy";
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(typed.textContent.trimEnd());
      copy.textContent = "Copied";
      setTimeout(() => (copy.textContent = "Copy"), 1500);
    });
    frame.append(typed, copy);
  }
}

// -- the lab, live ---------------------------------------------------------------------------------------------

let address = null;

async function hear(message) {
  const heard = JSON.parse(message.data);
  if (heard.progress && busy) say("", heard.progress);
  const words = document.getElementById("words");
  if (heard.picture && words) {
    words.textContent = `${heard.picture.words}. Seen at ${heard.picture.when}.`;
    const drawing = document.getElementById("drawing");
    if (address) URL.revokeObjectURL(address);
    address = URL.createObjectURL(new Blob([heard.picture.drawing], { type: "image/svg+xml" }));
    drawing.firstElementChild.src = address;
    drawing.firstElementChild.alt = `The lab as a drawing: ${heard.picture.words}`;
    drawing.hidden = false;
  }
  // Somebody got on at a terminal of the host.
  if (heard.mark && pane && !busy && heard.mark !== pane.firstElementChild?.dataset.mark) {
    const answer = await fetch("/pane");
    if (answer.ok && !busy) show(await answer.text());
  }
}

let delay = 1000;

function listen() {
  const live = socket("/live");
  live.addEventListener("open", () => (delay = 1000));
  live.addEventListener("message", hear);
  live.addEventListener("close", () => {
    const words = document.getElementById("words");
    if (words) words.textContent = "Nobody answers: is ./inv lesson.serve still running?";
    setTimeout(listen, delay);
    delay = Math.min(delay * 2, 30000);
  });
}

// -- terminals -------------------------------------------------------------------------------------------------

const terminals = new Map();

function open(machine, place) {
  const terminal = new Terminal({ cursorBlink: true, fontSize: 13, screenReaderMode: true, theme: { background: "#10151b" } });
  const fit = new FitAddon.FitAddon();
  terminal.loadAddon(fit);
  terminal.open(place);
  fit.fit();
  const line = socket(`/terminal/${machine}?columns=${terminal.cols}&rows=${terminal.rows}`);
  line.binaryType = "arraybuffer";
  line.addEventListener("message", ({ data }) => {
    if (typeof data === "string") terminal.write(`\r\n${JSON.parse(data).ended}\r\n`);
    else terminal.write(new Uint8Array(data));
  });
  line.addEventListener("close", () => {
    terminal.write("\r\n[ended: press its button for a new one]\r\n");
    terminals.get(machine).ended = true;
  });
  const bytes = new TextEncoder();
  const type = (data) => line.readyState === WebSocket.OPEN && line.send(data);
  terminal.onData((text) => type(bytes.encode(text)));
  terminal.onBinary((text) => type(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
  terminal.onResize(({ cols, rows }) => type(JSON.stringify({ columns: cols, rows })));
  new ResizeObserver(() => place.hidden || fit.fit()).observe(place);
  return { terminal, place, ended: false };
}

function choose(button) {
  const machine = button.dataset.machine;
  const ended = terminals.get(machine)?.ended;
  const opening = ended || button.getAttribute("aria-expanded") === "false";
  for (const other of document.querySelectorAll("[data-machine]")) {
    const shown = other === button && opening;
    other.setAttribute("aria-expanded", shown);
    document.getElementById(other.getAttribute("aria-controls")).hidden = !shown;
  }
  if (ended) {
    terminals.get(machine).terminal.dispose();
    terminals.delete(machine);
  }
  if (!opening) return;
  if (!terminals.has(machine)) terminals.set(machine, open(machine, document.getElementById(`terminal-${machine}`)));
  terminals.get(machine).terminal.focus();
}

for (const button of document.querySelectorAll("[data-machine]")) button.addEventListener("click", () => choose(button));
dress();
listen();
