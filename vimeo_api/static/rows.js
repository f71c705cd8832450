// The rows of the pages that upload, one per upload: name, state in words, progress, the actions that are possible, and
// the link. named.js, share.js and fetches.js extend Row with `cancel` and `retry`, and those whose uploads can pause with
// `pause` and `resume`. A bar at the bottom of /upload sums up what runs.

const LOG_LENGTH = 20; // announcements kept for screen readers
const LONG = 40; // characters; a longer name is cut in the middle
const END = 12; // characters of it that are always shown
const TOLD = 2000; // milliseconds for which a button says that it has copied

export const byId = (id) => document.getElementById(id);
export const rows = [];

export class Row {
  constructor(name) {
    this.element = byId("upload-row").content.firstElementChild.cloneNode(true);
    this.bar = this.element.querySelector("progress");
    this.button = this.element.querySelector(".action");
    this.link = this.element.querySelector("a");
    this.loaded = 0; // bytes
    this.bytes = undefined; // all bytes, once they are known
    this.button.addEventListener("click", () => (this.active ? this.cancel() : this.retry()));
    this.pauser = this.element.querySelector(".pause");
    this.pauser.addEventListener("click", () => (this.state === "paused" ? this.resume() : this.pause()));
    this.rename(name);
    rows.push(this);
    byId("uploads").append(this.element);
    byId("progress").hidden = false;
  }

  get active() {
    return ["waiting", "running", "paused"].includes(this.state);
  }

  rename(name) {
    this.name = name;
    writeName(this.element.querySelector(".name"), name);
    this.bar.setAttribute("aria-label", `Progress of ${name}`);
    this.link.setAttribute("aria-label", `Download: ${name}`);
    this.element.querySelector(".copy").setAttribute("aria-label", `Copy link: ${name}`);
    this.label();
  }

  /** Show a state, in words, and what can be done: "Cancel", "Try again" or none, and "Pause", "Resume" or none. */
  show(state, words, action = "", pause = "") {
    this.state = state;
    this.element.dataset.state = state;
    this.element.querySelector(".state").textContent = words;
    this.bar.hidden = state !== "running" && state !== "paused";
    write(this.button, action, this.element);
    write(this.pauser, pause, this.element);
    this.label();
    byId("clear").hidden = rows.every((row) => row.active);
    showTotal();
  }

  label() {
    for (const button of [this.button, this.pauser]) {
      const label = `${button.textContent}: ${this.name}`;
      if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
    }
  }

  /** Fill the bar up to a share; without one it only shows activity. */
  fill(share) {
    if (share === undefined) this.bar.removeAttribute("value");
    else this.bar.value = share;
    showTotal();
  }

  /** Offer the uploaded file for download at an address. */
  offer(address) {
    this.link.href = address;
    this.link.parentElement.hidden = false;
  }

  /** Show how the upload ended, and announce it. */
  end(state, words, action = "") {
    this.show(state, words, action);
    announce(`${this.name}: ${words}`);
  }
}

/** Write a button's words; without any it is hidden, and the focus goes to its row. */
function write(button, words, row) {
  if (!words && document.activeElement === button) row.focus();
  button.hidden = !words;
  if (button.textContent !== words) button.textContent = words;
}

/** Write a name; a long one is cut in the middle, so that its end can be read. The template does the same. */
export function writeName(element, name) {
  const letters = [...name];
  const long = letters.length > LONG;
  element.classList.toggle("long", long);
  element.title = long ? name : "";
  element.textContent = long ? "" : name;
  if (!long) return;
  for (const part of [letters.slice(0, -END), letters.slice(-END)]) {
    element.append(Object.assign(document.createElement("span"), { textContent: part.join("") }));
  }
}

/** Copy a link's address and say so; where the page is not secure, by the old way. */
async function copy(button, address) {
  try {
    await navigator.clipboard.writeText(address);
  } catch {
    const field = Object.assign(document.createElement("textarea"), { value: address, className: "unseen" });
    button.after(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    button.focus();
    if (!copied) return announce("The link could not be copied");
  }
  const words = button.textContent;
  if (words === "Copied") return;
  button.textContent = "Copied";
  announce(words === "Copy password" ? "Password copied" : "Link copied");
  setTimeout(() => (button.textContent = words), TOLD);
}

/** Show how far all uploads are, while some run. */
function showTotal() {
  if (!byId("total")) return;
  const running = rows.filter((row) => row.active);
  byId("total").hidden = running.length === 0;
  if (running.length === 0) return;
  const counted = rows.filter((row) => row.bytes !== undefined && (row.active || row.state === "done"));
  const loaded = counted.reduce((sum, row) => sum + row.loaded, 0);
  const bytes = counted.reduce((sum, row) => sum + row.bytes, 0);
  const words = [`${rows.length - running.length} of ${rows.length} done`];
  if (bytes) words.push(`${Math.floor((loaded / bytes) * 100)}%`, `${size(loaded)} of ${size(bytes)}`);
  byId("total").querySelector(".words").textContent = words.join(" · ");
  const bar = byId("total").querySelector("progress");
  if (bytes) bar.value = loaded / bytes;
  else bar.removeAttribute("value");
}

export function announce(words) {
  const line = document.createElement("p");
  line.textContent = words;
  byId("log").append(line);
  while (byId("log").childElementCount > LOG_LENGTH) byId("log").firstElementChild.remove();
}

/** Return a size as the template writes it, in one unbreakable word. */
export function size(bytes) {
  const rounded = Math.round(bytes);
  if (rounded < 1024) return rounded === 1 ? "1\u00a0byte" : `${rounded}\u00a0bytes`;
  const power = Math.min(Math.floor(Math.log2(rounded) / 10), 4);
  return `${(rounded / 1024 ** power).toFixed(1)}\u00a0${["KiB", "MiB", "GiB", "TiB"][power - 1]}`;
}

/** Return whether the same request may succeed later. */
export function mayPass(status) {
  return status >= 500 || status === 408 || status === 429;
}

function clearFinished() {
  for (const row of rows.splice(0)) {
    if (row.active) rows.push(row);
    else row.element.remove();
  }
  byId("clear").hidden = true;
  byId("progress").hidden = rows.length === 0;
  byId("file").focus();
}

byId("clear").addEventListener("click", clearFinished);
document.addEventListener("click", ({ target }) => {
  const button = target.closest?.("button.copy");
  if (!button) return;
  const source = button.closest("li, tr, .copyable").querySelector("a, input");
  copy(button, source.href ?? source.value);
});
