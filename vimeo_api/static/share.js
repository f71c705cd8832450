// The page at /share: takes a file, uploads it so that it survives a lost connection, and shows its link.
// The page works without it.

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
let chosen;
let before; // an upload that broke off with a reload: its fields are on the server
let row;

class Sharing extends Row {
  constructor(file, upload) {
    super(file.name);
    Object.assign(this, { file, upload, bytes: file.size });
  }

  async retry() {
    this.samples = [];
    this.fill(this.loaded / Math.max(this.bytes, 1));
    this.show("running", "Starting…", "Cancel", "Pause");
    try {
      showLink(await this.upload.run());
    } catch (error) {
      if (error instanceof Refused) this.refuse(error);
      else if (error instanceof Lost) this.end("failed", error.message, "Try again");
      else if (error.name !== "AbortError") throw error;
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
    this.show("running", share < 1 ? words : "Sent, being stored…", "Cancel", "Pause");
  }

  waiting() {
    this.samples = [];
    this.show("running", "The connection was lost; trying again…", "Cancel", "Pause");
  }
}

function tooLarge() {
  return `The file is larger than ${maxBytes < Infinity ? size(maxBytes) : "the server accepts"}.`;
}

function choose(files) {
  if (row || !files.length) return;
  const [file] = files;
  const refusal = files.length > 1 ? "Choose one file; several can be sent as an archive." : refusalOf(file);
  say(refusal);
  chosen = refusal ? undefined : file;
  byId("chosen").hidden = !chosen;
  if (!chosen) return;
  byId("chosen").querySelector("bdi").textContent = file.name;
  byId("chosen").querySelector("span").textContent = size(file.size);
  before = interrupted(endpoint).find((one) => one.name === file.name && one.size === file.size && one.modified === file.lastModified);
  announce(`${file.name} chosen`);
}

function refusalOf(file) {
  return file.size > maxBytes ? tooLarge() : "";
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
  if (!chosen) return say("Choose a file first.");
  if (before) discard(before); // it has the fields of then, and may have another password
  say("");
  const told = { progress: (bytes) => row.progress(bytes), waiting: () => row.waiting() };
  start(new ResumableUpload(chosen, { endpoint, fields, told, inParts: false }));
}

function start(upload) {
  row = new Sharing(chosen, upload);
  form.hidden = true;
  row.element.focus();
  row.retry();
}

/** Replace the form by the page of the link, which the server makes. */
async function showLink({ text }) {
  const { manage_url: manageUrl } = JSON.parse(text);
  const body = new URLSearchParams({ manage: manageUrl.split("/").pop() });
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  const { text: page } = await ask("POST", "share/link", { headers, body });
  const shared = document.adoptNode(new DOMParser().parseFromString(page, "text/html").getElementById("shared"));
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
  if (event.type === "drop") choose(event.dataTransfer.files);
  form.querySelector(".way").classList.toggle("dropping", event.type === "dragenter" || event.type === "dragover");
}

/** Offer to go on with an upload that broke off with a reload, with the settings that it began with. */
function offerInterrupted() {
  for (const one of interrupted(endpoint)) {
    const place = document.createElement("p");
    place.className = "way broken";
    const words = document.createElement("span");
    words.append("The upload of ", Object.assign(document.createElement("bdi"), { textContent: one.name }), " broke off.");
    words.append(" Choose the same file to go on. It keeps its password and lifetime.");
    const input = Object.assign(document.createElement("input"), { type: "file", ariaLabel: `Choose ${one.name} again` });
    const button = Object.assign(document.createElement("button"), { type: "button", className: "plain", textContent: "Forget it" });
    input.addEventListener("change", () => {
      const [file] = input.files;
      if (!file || file.name !== one.name || file.size !== one.size || file.lastModified !== one.modified) {
        return say("This is another file, or it has changed since.");
      }
      place.remove();
      chosen = file;
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
chooser.addEventListener("change", () => choose(chooser.files));
byId("make").addEventListener("click", makePassword);
form.addEventListener("submit", send);
for (const type of ["dragenter", "dragover", "dragleave", "drop"]) document.addEventListener(type, drag);
window.addEventListener("beforeunload", (event) => {
  if (row?.active && row.state !== "paused") event.preventDefault(); // a paused one goes on later
});
offerInterrupted();
