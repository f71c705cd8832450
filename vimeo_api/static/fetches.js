// Uploads from URLs: the server's workers fetch them, and this script polls their progress through the surface
// `transfer`. It polls rarely, not at all while the page is hidden, and keeps trying while the server is down.
//
// Anyone who has a file's id may download it. So ids are kept in sessionStorage: they survive a reload and go with the
// tab. In localStorage every other tab could read them, and the next person at this machine. URLs may hold secrets of
// other sites; they are not kept at all.

import { Row, announce, byId, mayPass, rows, size } from "./rows.js";

const KEPT = "fetches"; // the key in sessionStorage: [{id, name}] of all rows until they are cleared
const SHORTEST = 500; // milliseconds between two polls of a fetch, at first
const LONGEST = 5000; // the same, later
const LONGEST_AWAY = 30000; // the same, while the server is down
const PATIENCE = 15000; // milliseconds to wait for a response

const form = byId("url-form");
const { url: urlField, sha256: digestField } = form.elements;

class Fetch extends Row {
  constructor(name, { id, source } = {}) {
    super(name);
    this.id = id;
    this.source = source; // what to fetch; not known after a reload
  }

  /** Ask the server to fetch the source. */
  async begin() {
    this.cancelling = false;
    this.fill();
    this.show("running", "Starting…", "Cancel");
    const { status, answer } = await ask("uploadFile", {
      method: "POST",
      headers: { "Content-Type": "application/json", Prefer: "respond-async" },
      body: JSON.stringify(this.source),
    });
    if (answer.file_id) {
      this.id = answer.file_id;
      keep();
      return this.follow();
    }
    if (this.cancelling) return this.end("cancelled", "Cancelled", "Try again");
    if (!status) return this.fail("The server cannot be reached", true);
    if (status < 500 && !urlField.value) urlField.value = this.source.file; // for the user to correct
    this.fail(refusal(status, answer), mayPass(status));
  }

  /** Show the progress until the fetch is over. */
  async follow() {
    for (let delay = SHORTEST, away = false; this.active; ) {
      const { cancelling } = this;
      const { status, answer } = await ask(addressOf(this.id), { method: cancelling ? "DELETE" : "GET" });
      const known = status === 200 && answer.state !== undefined;
      if (known) this.showProgress(answer);
      else if (status >= 400 && !mayPass(status)) this.fail(refusal(status, answer));
      else this.show("running", "Waiting for the server…", "Cancel");
      if (known === away) delay = SHORTEST; // the server went down, or came back
      away = !known;
      if (this.active && cancelling === this.cancelling) await this.rest(delay);
      delay = Math.min(delay * 1.5, away ? LONGEST_AWAY : LONGEST);
    }
  }

  /** Wait for some milliseconds, and while the page is hidden; `wake` ends the wait. */
  rest(milliseconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => document.hidden || this.wake(), milliseconds);
      this.wake = () => {
        clearTimeout(timer);
        this.wake = undefined;
        resolve();
      };
    });
  }

  /** Show what the server says about the fetch. */
  showProgress({ state, name, bytes, failure, error, ...progress }) {
    if (name !== this.name) {
      this.rename(name);
      keep();
    }
    this.bytes = progress.total ?? undefined;
    this.loaded = bytes;
    if (state === "fetching") {
      this.fill(progress.total ? bytes / progress.total : undefined);
      this.show("running", this.cancelling ? "Cancelling…" : wordsFor(bytes, progress), "Cancel");
    } else if (state === "available") {
      this.offer(`downloadFile?file_id=${encodeURIComponent(this.id)}`);
      this.end("done", `Ready · ${size(bytes)}`);
    } else if (failure === "cancelled") {
      this.end("cancelled", "Cancelled", this.source ? "Try again" : "");
    } else {
      this.fail(error || "The file is no longer there", ["origin", "slow", "full"].includes(failure));
    }
  }

  fail(reason, retry = false) {
    this.end("failed", reason, retry && this.source ? "Try again" : "");
  }

  cancel() {
    this.cancelling = true;
    this.show("running", "Cancelling…", "Cancel");
    this.wake?.();
  }

  retry() {
    this.id = undefined;
    this.begin();
  }
}

/** Return status and JSON of a response; status 0 means that there was none. */
async function ask(address, options) {
  try {
    const headers = { Accept: "application/json", ...options.headers };
    const signal = AbortSignal.timeout(PATIENCE);
    const response = await fetch(address, { ...options, headers, signal, cache: "no-store" });
    const text = await response.text();
    return { status: response.status, answer: objectOf(text) };
  } catch {
    return { status: 0, answer: {} }; // the caller decides what this means
  }
}

/** Return the JSON object in a text; a proxy in front of the server may answer with something else. */
function objectOf(text) {
  try {
    return Object(JSON.parse(text));
  } catch {
    return {};
  }
}

function refusal(status, answer) {
  return String(answer.error || `The server answered with status ${status}`);
}

function addressOf(id) {
  return `uploadFile/${encodeURIComponent(id)}`;
}

function wordsFor(bytes, { total, rate, seconds_left: left }) {
  if (!bytes && !total) return "Starting…";
  if (bytes === total) return "Fetched, being stored…";
  const words = total
    ? [`${Math.floor((bytes / total) * 100)}%`, `${size(bytes)} of ${size(total)}`]
    : [size(bytes)];
  if (rate) words.push(`${size(rate)}/s`);
  if (left) words.push(`${duration(left)}\u00a0left`);
  return words.join(" · ");
}

/** Return a number of seconds in words, in two units at most. */
function duration(seconds) {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours) return `${hours}\u00a0h\u00a0${minutes}\u00a0min`;
  return minutes ? `${minutes}\u00a0min\u00a0${seconds % 60}\u00a0s` : `${seconds}\u00a0s`;
}

/** Return a name for a URL until the server knows the file's name: its last segment, else its host. */
function nameOf(url) {
  const { pathname, host } = new URL(url);
  const segment = pathname.slice(pathname.lastIndexOf("/") + 1);
  try {
    return decodeURIComponent(segment) || host;
  } catch {
    return segment; // it is not UTF-8
  }
}

function keep() {
  const kept = rows.filter((row) => row instanceof Fetch && row.id).map(({ id, name }) => ({ id, name }));
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(kept));
  } catch {
    // Without storage the rows are lost on a reload, as they are when the tab is closed.
  }
}

/** Return what was kept before a reload. */
function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT)) ?? [];
  } catch {
    return [];
  }
}

function submit(event) {
  event.preventDefault();
  const source = { file: urlField.value };
  if (digestField.value.trim()) source.sha256 = digestField.value.trim();
  form.reset();
  form.querySelector("details").open = false;
  const row = new Fetch(nameOf(source.file), { source });
  announce(`${row.name}: Started`);
  row.begin();
}

function wakeAll() {
  if (!document.hidden) for (const row of rows) row.wake?.();
}

urlField.addEventListener("input", () => {
  const right = !urlField.value || /^https?:/i.test(urlField.value);
  urlField.setCustomValidity(right ? "" : "The URL must begin with http:// or https://");
});
digestField.addEventListener("invalid", () => (form.querySelector("details").open = true));
form.addEventListener("submit", submit);
byId("clear").addEventListener("click", keep); // after rows.js has cleared them
document.addEventListener("visibilitychange", wakeAll);
window.addEventListener("online", wakeAll);
form.hidden = false;
for (const { id, name } of kept()) {
  const row = new Fetch(name, { id });
  row.fill();
  row.show("running", "Waiting for the server…", "Cancel");
  row.follow();
}
