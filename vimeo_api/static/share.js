// The page at /share: takes a file, uploads it so that it survives a lost connection, and shows its link. Several files
// and folders go up in one form, of which the server makes a zip. The page works without it.

import { announce, byId, mayPass, Row, size } from "./rows.js";
import { Lost, Refused, ResumableUpload, ask, discard, interrupted, wordsOf } from "./resumable.js";

const RATE_WINDOW = 3000; // milliseconds over which the rate is measured
const LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"; // 32 that nobody mixes up
const GROUPS = 4; // of a made password, of four letters each: 80 bits

const form = byId("share-form");
const { file: chooser, password, expires_in: lifetime, downloads, notify } = form.elements;
const maxBytes = Number(form.dataset.maxBytes ?? Infinity);
const endpoint = `uploads/${form.dataset.surface}`;
const fields = () => ({
  password: password.value,
  expires_in: lifetime.value,
  downloads: downloads.value,
  notify: notify?.value.trim() ?? "",
});
const MOST_FILES = 95; // the server takes 100 parts in a form, fields included
let chosen = []; // [{file, path}]
let before; // an upload that a reload interrupted: its fields are on the server
let row;

/** Several files in one request. It cannot pause: the server makes a zip of them once it has all. */
class FormUpload {
  constructor(files, told) {
    Object.assign(this, { files, told });
  }

  /** Upload the files; return the server's answer. Raises Refused, Lost, and AbortError. */
  async run() {
    this.stopped = new AbortController();
    const body = new FormData();
    for (const [name, value] of Object.entries(fields())) if (value) body.append(name, value);
    for (const { file, path } of this.files) body.append("file", file, path);
    const response = await ask("PUT", "vimeo/api/v1.0/file", {
      body,
      progress: (bytes) => this.told.progress(Math.min(bytes, sizeOf(this.files))), // those of the form are more
      signal: this.stopped.signal,
    }).catch((error) => {
      throw error.name === "AbortError" ? error : new Lost(error.message);
    });
    if (response.status !== 201) throw new Refused(response);
    return response;
  }

  cancel() {
    this.stopped.abort();
  }
}

class Sharing extends Row {
  constructor(files, upload) {
    super(files.length > 1 ? `${files.length} files` : files[0].file.name);
    Object.assign(this, { upload, bytes: sizeOf(files), pausing: upload.pause ? "Pause" : "" });
  }

  async retry() {
    this.samples = [];
    this.fill(this.loaded / Math.max(this.bytes, 1));
    this.show("running", "Starting…", "Cancel", this.pausing);
    try {
      this.answer ??= await this.upload.run(); // another try only shows the link
      this.show("running", "Stored, making its link…", "Cancel");
      const shared = await linkPage(this.answer);
      if (row === this) showLink(shared);
    } catch (error) {
      if (row !== this) return; // cancelled
      if (error instanceof Refused) this.refuse(error);
      else if (error instanceof Lost) this.end("failed", error.message, "Try again");
      else if (error.name !== "AbortError") throw error; // paused
    }
  }

  resume() {
    this.retry();
  }

  pause() {
    this.upload.pause();
    this.show("paused", "Paused", "Cancel", "Resume");
  }

  cancel() {
    this.upload.cancel();
    if (this.answer) ask("DELETE", manageUrl(this.answer)).catch(() => {}); // else it lasts until it expires
    back("");
  }

  /** Let the user correct the form; a refusal that may pass can be tried again as it is. */
  refuse(refused) {
    const words = refused.status === 413 ? tooLarge() : wordsOf(refused);
    if (mayPass(refused.status)) this.end("failed", words, "Try again");
    else back(words);
  }

  progress(bytes) {
    const now = performance.now();
    this.samples.push([now, bytes]);
    while (now - this.samples[0][0] > RATE_WINDOW && this.samples.length > 2) this.samples.shift();
    const [since, start] = this.samples[0];
    const rate = ((bytes - start) * 1000) / Math.max(now - since, 1);
    const share = this.bytes ? bytes / this.bytes : 1;
    this.loaded = bytes;
    this.fill(share);
    const words = `${Math.floor(share * 100)}% · ${size(bytes)} of ${size(this.bytes)} · ${size(rate)}/s`;
    this.show("running", share < 1 ? words : "Sent, being stored…", "Cancel", this.pausing);
  }

  waiting() {
    this.samples = [];
    this.show("running", "The connection was lost; trying again…", "Cancel", this.pausing);
  }
}

function tooLarge() {
  return `${chosen.length > 1 ? "Together the files are" : "The file is"} larger than ${maxBytes < Infinity ? size(maxBytes) : "the server accepts"}.`;
}

function choose(files) {
  if (row || !files.length) return;
  const total = sizeOf(files);
  const many = files.length > MOST_FILES ? `These are ${files.length} files; send at most ${MOST_FILES}, or an archive.` : "";
  const refusal = total > maxBytes ? tooLarge() : many;
  say(refusal);
  chosen = refusal ? [] : files;
  byId("chosen").hidden = !chosen.length;
  if (!chosen.length) return;
  const [{ file }] = files;
  const name = files.length > 1 ? `${files.length} files, in one zip` : file.name;
  byId("chosen").querySelector("bdi").textContent = name;
  byId("chosen").querySelector("span").textContent = size(total);
  const same = (one) => one.name === file.name && one.size === file.size && one.modified === file.lastModified;
  before = files.length > 1 ? undefined : interrupted(endpoint).find(same);
  announce(`${name} chosen`);
}

function sizeOf(files) {
  return files.reduce((sum, { file }) => sum + file.size, 0);
}

/** Return the files of an input or a drop, each with its path in its folder. */
function listed(files) {
  return [...files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
}

/** Return what was dropped, with the files in folders. */
async function dropped(transfer) {
  const files = listed(transfer.files);
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean); // before the first await
  return entries.some((entry) => entry.isDirectory) ? (await Promise.all(entries.map(within))).flat() : files;
}

async function within(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ file, path: entry.fullPath.slice(1) }];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at a time
    if (!some.length) return (await Promise.all(found.map(within))).flat();
    found.push(...some);
  }
}

/** Show a refusal above the options, or none. */
function say(words) {
  byId("refusal").textContent = words;
  byId("refusal").hidden = !words;
}

/** Show the form again, for another try. */
function back(words) {
  row.element.remove();
  row = undefined;
  byId("progress").hidden = true;
  form.hidden = false;
  say(words);
  form.querySelector(".main").focus();
}

function send(event) {
  event.preventDefault();
  if (!chosen.length) return say("Choose a file first.");
  if (before) discard(before); // it has the fields of then, and may have another password
  say("");
  const told = { progress: (bytes) => row.progress(bytes), waiting: () => row.waiting() };
  const [{ file }] = chosen;
  const options = { endpoint, fields, told, inParts: false };
  start(chosen.length > 1 ? new FormUpload(chosen, told) : new ResumableUpload(file, options));
}

function start(upload) {
  row = new Sharing(chosen, upload);
  form.hidden = true;
  row.element.focus();
  row.retry();
}

function manageUrl({ text }) {
  return JSON.parse(text).manage_url;
}

/** Return the page of the link, which the server makes. Raises Lost. */
async function linkPage(answer) {
  const body = new URLSearchParams({ manage: manageUrl(answer).split("/").pop() });
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  const page = await ask("POST", "share/link", { headers, body }).catch(() => ({}));
  if (page.status !== 200) throw new Lost("Stored, but its link could not be shown");
  return document.adoptNode(new DOMParser().parseFromString(page.text, "text/html").getElementById("shared"));
}

/** Replace the form by the page of the link. */
function showLink(shared) {
  for (const button of shared.querySelectorAll("button.copy")) button.hidden = false;
  for (const time of shared.querySelectorAll("time")) writeTime(time);
  byId("progress").hidden = true;
  row.state = "done";
  document.querySelector("h1").remove();
  document.querySelector(".lead").remove();
  form.replaceWith(shared);
  document.title = document.title.replace(/^[^–]*/, "Your link is ready ");
  if (password.value) showPassword(shared.querySelector("#secret"));
  shared.querySelector("h1").focus();
  announce("Your link is ready");
}

/** Show the password again: the server does not know it any more. */
function showPassword(place) {
  const field = Object.assign(document.createElement("input"), { id: "told", readOnly: true, value: password.value });
  const label = Object.assign(document.createElement("label"), { htmlFor: "told", textContent: "Password" });
  const button = Object.assign(document.createElement("button"), { type: "button", className: "button copy" });
  button.textContent = "Copy password";
  const line = Object.assign(document.createElement("p"), { className: "copyable" });
  line.append(field, button);
  place.prepend(label, line);
}

function writeTime(time) {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "short" });
  time.title = time.textContent;
  time.textContent = format.format(new Date(time.dateTime));
}

function makePassword() {
  const letters = [...crypto.getRandomValues(new Uint8Array(GROUPS * 4))].map((byte) => LETTERS[byte % LETTERS.length]);
  password.value = letters.join("").match(/.{4}/g).join("-");
  announce(`Password made: ${password.value}`);
}

function drag(event) {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  if (event.type === "drop") dropped(event.dataTransfer).then(choose, () => say("The folder cannot be read."));
  form.querySelector(".way").classList.toggle("dropping", event.type === "dragenter" || event.type === "dragover");
}

/** Offer to continue an upload that a reload interrupted, with the settings that it began with. */
function offerInterrupted() {
  for (const one of interrupted(endpoint)) {
    const place = document.createElement("p");
    place.className = "way broken";
    const words = document.createElement("span");
    words.append("The upload of ", Object.assign(document.createElement("bdi"), { textContent: one.name }), " was interrupted.");
    words.append(" Choose the same file to continue. It keeps its password and lifetime.");
    const input = Object.assign(document.createElement("input"), { type: "file", ariaLabel: `Choose ${one.name} again` });
    const button = Object.assign(document.createElement("button"), { type: "button", className: "plain", textContent: "Forget it" });
    input.addEventListener("change", () => {
      const [file] = input.files;
      if (!file || file.name !== one.name || file.size !== one.size || file.lastModified !== one.modified) {
        return say("This is another file, or it has changed since.");
      }
      place.remove();
      chosen = listed([file]);
      const told = { progress: (bytes) => row.progress(bytes), waiting: () => row.waiting() };
      start(new ResumableUpload(file, { endpoint, told, inParts: false }));
    });
    button.addEventListener("click", () => {
      discard(one);
      place.remove();
    });
    place.append(words, input, button);
    form.before(place);
  }
}

document.documentElement.classList.add("scripted");
chooser.required = false; // a dropped file is not in it
byId("make").hidden = false;
form.querySelector(".drop-hint").hidden = false;
for (const input of [chooser, byId("folder")]) input.addEventListener("change", () => choose(listed(input.files)));
byId("folder").parentElement.hidden = false;
byId("make").addEventListener("click", makePassword);
form.addEventListener("submit", send);
for (const type of ["dragenter", "dragover", "dragleave", "drop"]) document.addEventListener(type, drag);
window.addEventListener("beforeunload", (event) => {
  if (row?.active && row.state !== "paused") event.preventDefault(); // a paused one continues later
});
offerInterrupted();
