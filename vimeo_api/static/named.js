// Uploads chosen and dropped files, each with progress, pause and cancel, and keeps the list of stored files up to date.
// The page works without it. The server's limits are in the form's data attributes.

import { Row, byId, mayPass, rows, size } from "./rows.js";
import { Lost, Refused, ResumableUpload, discard, interrupted, wordsOf } from "./resumable.js";

const ENDPOINT = "uploads/named";
const AT_ONCE = 3; // uploads that run at the same time; the others wait
const PATIENCE = 5000; // milliseconds to wait for whether a name is in use
const RATE_WINDOW = 3000; // milliseconds over which the rate is measured

const form = byId("upload-form");
const maxBytes = Number(form.dataset.maxBytes ?? Infinity);
const extensions = form.dataset.extensions.split(" ");

class Upload extends Row {
  constructor(file) {
    super(file.name.toWellFormed?.() ?? file.name); // a URL cannot hold a lone surrogate
    this.file = file;
    this.bytes = file.size;
    this.form = this.element.querySelector(".rename");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.form.hidden = true;
      this.element.focus();
      this.rename(this.form.querySelector("input").value.trim());
      this.enqueue();
    });
  }

  retry() {
    this.enqueue();
  }

  /** Check the file here, to save a useless upload; then wait for a turn. */
  enqueue() {
    const refusal = refusalOf(this.name, this.file.size);
    if (refusal) return this.fail(refusal);
    this.show("waiting", "Waiting", "Cancel");
    startNext();
  }

  /** Upload the file, unless its name is in use: that shows before anything is sent. */
  async start() {
    this.fill(this.loaded / Math.max(this.bytes, 1));
    this.show("running", "Starting…", "Cancel");
    const checking = {};
    this.checking = checking;
    const taken = await isTaken(this.name);
    if (this.checking !== checking || this.state !== "running") return; // cancelled meanwhile
    if (taken) return this.askName();
    this.send();
  }

  async send() {
    this.upload ??= new ResumableUpload(this.file, { endpoint: ENDPOINT, name: this.name, told: this });
    this.samples = [];
    this.show("running", "Starting…", "Cancel", "Pause");
    try {
      this.finish(await this.upload.run());
    } catch (error) {
      if (error instanceof Refused) this.refuse(error);
      else if (error instanceof Lost) this.fail(error.message, true);
      else if (error.name !== "AbortError") throw error;
    }
  }

  pause() {
    this.upload.pause();
    this.show("paused", "Paused", "Cancel", "Resume");
    startNext();
  }

  resume() {
    this.enqueue();
  }

  progress(loaded) {
    const now = performance.now();
    this.samples.push([now, loaded]);
    while (now - this.samples[0][0] > RATE_WINDOW && this.samples.length > 2) this.samples.shift();
    const [since, before] = this.samples[0];
    const rate = ((loaded - before) * 1000) / Math.max(now - since, 1);
    const share = this.file.size ? loaded / this.file.size : 1;
    this.loaded = Math.min(loaded, this.bytes);
    this.fill(share);
    const words = `${Math.floor(share * 100)}% · ${size(loaded)} of ${size(this.file.size)} · ${size(rate)}/s`;
    this.show("running", share < 1 ? words : "Sent, being stored…", "Cancel", "Pause");
  }

  waiting() {
    this.samples = [];
    this.show("running", "The connection was lost; trying again…", "Cancel", "Pause");
  }

  finish({ text }) {
    this.upload = undefined;
    this.loaded = this.bytes;
    const said = wordsOf({ text });
    const name = said.replace(/ uploaded$/, ""); // as the server has stored it
    this.offer(`download/${encodeURIComponent(name)}`);
    this.end("done", name === this.name ? "Uploaded" : said);
    refreshList();
  }

  refuse(refused) {
    this.upload = undefined;
    this.loaded = 0;
    if (refused.status === 409) return this.askName();
    this.fail(refused.status === 413 ? tooLarge() : wordsOf(refused), mayPass(refused.status));
  }

  /** Say that the name is in use, and ask for another one. */
  askName() {
    this.form.hidden = false;
    this.form.querySelector("input").value = suggestion(this.name);
    this.end("failed", `${this.name} exists`);
  }

  fail(reason, retry = false) {
    this.end("failed", reason, retry ? "Try again" : "");
  }

  cancel() {
    this.upload?.cancel();
    this.upload = undefined;
    this.loaded = 0;
    this.end("cancelled", "Cancelled", "Try again");
  }

  end(state, words, action) {
    super.end(state, words, action);
    startNext();
  }
}

/** Return whether there is a file of this name already; where that cannot be learnt, the upload will show it. */
async function isTaken(name) {
  try {
    const options = { method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(PATIENCE) };
    return (await fetch(`download/${encodeURIComponent(name)}`, options)).ok;
  } catch {
    return false;
  }
}

/** Return a name like `report (2).txt`, or `report (3).txt` for that. */
function suggestion(name) {
  const [, stem, number, extension] = /^(.*?)(?: \((\d{1,6})\))?(\.[^.]*)?$/s.exec(name);
  return `${stem} (${Number(number ?? 1) + 1})${extension ?? ""}`;
}

/** Return why the server would refuse a file, in the server's words, or "". */
function refusalOf(name, bytes) {
  const extension = name.includes(".") ? name.slice(name.lastIndexOf(".") + 1) : "";
  if (!extension) return "No extension file not allowed";
  if (!extensions.includes(extension.toLowerCase())) return `${extension} file not allowed`;
  return bytes > maxBytes ? tooLarge() : "";
}

function tooLarge() {
  const limit = maxBytes < Infinity ? size(maxBytes) : "the server accepts";
  return `The file is larger than ${limit}.`;
}

function add(files) {
  for (const file of files) {
    rows.find((row) => row instanceof Interrupted && row.is(file))?.leave();
    new Upload(file).enqueue();
  }
}

/** An upload that a reload interrupted: the browser has no file any more, until it is chosen again. */
class Interrupted extends Row {
  constructor(one) {
    super(one.name);
    this.one = one;
    this.show("interrupted", "Interrupted. Choose the same file again to continue it.", "Forget it");
  }

  /** Return whether it is about a file. */
  is(file) {
    const { name, size, modified } = this.one;
    return file.name === name && file.size === size && file.lastModified === modified;
  }

  retry() {
    discard(this.one);
    this.leave();
  }

  leave() {
    this.element.remove();
    rows.splice(rows.indexOf(this), 1);
    byId("progress").hidden = rows.length === 0;
  }
}

function startNext() {
  const uploads = rows.filter((row) => row instanceof Upload);
  const running = uploads.filter((upload) => upload.state === "running").length;
  const waiting = uploads.filter((upload) => upload.state === "waiting");
  for (const upload of waiting.slice(0, Math.max(AT_ONCE - running, 0))) upload.start();
}

let refreshing = false;
let stale = false;

/** Fetch this page again, query included, and replace the list; one fetch at a time. */
async function refreshList() {
  stale = true;
  if (refreshing) return;
  refreshing = true;
  while (stale) {
    stale = false;
    try {
      const response = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
      if (response.ok) replaceList(new DOMParser().parseFromString(await response.text(), "text/html"));
    } catch {
      // The list stays as it was; the next upload fetches it again.
    }
  }
  refreshing = false;
}

function replaceList(page) {
  const fresh = page.getElementById("listing");
  if (!fresh) return;
  const focused = byId("listing").contains(document.activeElement) && document.activeElement.getAttribute("href");
  prepare(fresh);
  byId("listing").replaceWith(document.adoptNode(fresh));
  byId("search").hidden = page.getElementById("search").hidden;
  if (focused) fresh.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
}

/** Write times as they are here, and show the buttons that need a script. */
function prepare(root) {
  for (const button of root.querySelectorAll("button.copy")) button.hidden = false;
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll("time")) {
    time.title = time.textContent;
    time.textContent = format.format(new Date(time.dateTime));
  }
}

function highlightDrop(event) {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "copy";
  form.classList.add("dropping");
}

function endDrop(event) {
  if (event.type === "drop" && event.dataTransfer?.files.length) {
    event.preventDefault();
    add(event.dataTransfer.files);
  }
  if (event.type === "drop" || !event.relatedTarget) form.classList.remove("dropping");
}

document.documentElement.classList.add("scripted");
form.elements.file.multiple = true;
form.querySelector("label").textContent = "Choose files";
form.querySelector(".drop-hint").hidden = false;
form.elements.file.addEventListener("change", (event) => {
  add(event.target.files);
  event.target.value = ""; // so that the same file can be chosen again
});
for (const type of ["dragenter", "dragover"]) document.addEventListener(type, highlightDrop);
for (const type of ["dragleave", "drop"]) document.addEventListener(type, endDrop);
window.addEventListener("beforeunload", (event) => {
  // A fetch of a URL continues without the page.
  const running = rows.some((row) => row instanceof Upload && (row.state === "waiting" || row.state === "running"));
  if (running) event.preventDefault(); // a paused one continues later
});
prepare(document);
for (const one of interrupted(ENDPOINT)) new Interrupted(one);
