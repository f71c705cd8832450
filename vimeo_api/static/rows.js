// The rows of the upload page, one per upload: name, state in words, progress and the action that is possible.
// named.js and fetches.js extend Row with `cancel` and `retry`.

const LOG_LENGTH = 20; // announcements kept for screen readers

export const byId = (id) => document.getElementById(id);
export const rows = [];

export class Row {
  constructor(name) {
    this.element = byId("upload-row").content.firstElementChild.cloneNode(true);
    this.bar = this.element.querySelector("progress");
    this.button = this.element.querySelector("button");
    this.link = this.element.querySelector("a");
    this.button.addEventListener("click", () => (this.active ? this.cancel() : this.retry()));
    this.rename(name);
    rows.push(this);
    byId("uploads").append(this.element);
    byId("progress").hidden = false;
  }

  get active() {
    return this.state === "waiting" || this.state === "running";
  }

  rename(name) {
    this.name = name;
    this.element.querySelector(".name").textContent = name;
    this.bar.setAttribute("aria-label", `Progress of ${name}`);
    this.link.setAttribute("aria-label", `Download: ${name}`);
    this.label();
  }

  /** Show a state, in words, and the possible action: "Cancel", "Try again" or none. */
  show(state, words, action = "") {
    this.state = state;
    this.element.dataset.state = state;
    this.element.querySelector(".state").textContent = words;
    this.bar.hidden = state !== "running";
    if (!action && document.activeElement === this.button) this.element.focus();
    this.button.hidden = !action;
    if (this.button.textContent !== action) this.button.textContent = action;
    this.label();
    byId("clear").hidden = rows.every((row) => row.active);
  }

  label() {
    const label = `${this.button.textContent}: ${this.name}`;
    if (this.button.getAttribute("aria-label") !== label) this.button.setAttribute("aria-label", label);
  }

  /** Fill the bar up to a share; without one it only shows activity. */
  fill(share) {
    if (share === undefined) this.bar.removeAttribute("value");
    else this.bar.value = share;
  }

  /** Offer the uploaded file for download at an address. */
  offer(address) {
    this.link.href = address;
    this.link.hidden = false;
  }

  /** Show how the upload ended, and announce it. */
  end(state, words, action = "") {
    this.show(state, words, action);
    announce(`${this.name}: ${words}`);
  }
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
