// One resumable upload by tus 1.0.0 (views/uploads): it continues from where the server has it, after any failure, a
// pause, and a reload of the page. A large file goes up in parts at the same time, which the server joins.
//
// What it takes to continue after a reload is kept in sessionStorage, which goes with the tab: anyone who has the URL of an
// upload can continue it. The fields, which may hold a password, are not kept.

const KEPT = "uploads"; // the key in sessionStorage: [{endpoint, name, size, modified, parts}]
const LARGE = 64 * 1024 ** 2; // bytes from which a file goes up in parts
const PARTS = 2;
const DELAYS = [500, 1000, 2000, 4000, 8000, 15000, 30000]; // milliseconds before each new try; the last one repeats
const TRIES = 15; // without a new byte, until the user has to ask for the next one
const LONGEST_WAIT = 60; // seconds a server may ask us to wait before we leave it to the user

/** The server's refusal: trying again would end the same. */
export class Refused extends Error {
  constructor({ status, text }) {
    super(`The server answered with status ${status}`);
    Object.assign(this, { status, text });
  }
}

/** The connection or the server was away too often in a row. */
export class Lost extends Error {}

/** Return what was kept of uploads to an endpoint that a reload interrupted. */
export function interrupted(endpoint) {
  return kept().filter((one) => one.endpoint === endpoint);
}

/** Forget an interrupted upload, and end it on the server. */
export function discard(one) {
  keep(kept().filter((other) => !same(one, other)));
  for (const { url } of one.parts) if (url) end(url);
}

export class ResumableUpload {
  /** `told.progress(bytes)` and `told.waiting()` say how it goes; `fields` may be a function, asked when they are sent. */
  constructor(file, { endpoint, name = file.name, fields, told, inParts = true }) {
    Object.assign(this, { file, fields, told });
    this.endpoint = new URL(endpoint, document.baseURI).href;
    this.known = { endpoint, name, size: file.size, modified: file.lastModified };
    const before = kept().find((one) => same(one, this.known));
    const count = inParts && file.size >= LARGE ? PARTS : 1;
    this.parts = before?.parts ?? split(file.size, count);
    for (const part of this.parts) part.sent = 0;
  }

  /** Upload what is missing; return the server's answer, {text, manageUrl}. Raises Refused, Lost, and AbortError. */
  async run() {
    this.stopped = new AbortController();
    try {
      const answers = await Promise.all(this.parts.map((part) => this.carry(part)));
      const answer = this.parts.length > 1 ? await this.join() : answers[0];
      this.forget();
      return answer;
    } catch (error) {
      this.stopped.abort(); // the other parts stop, too
      if (error instanceof Refused) this.forget();
      throw error;
    }
  }

  pause() {
    this.stopped?.abort();
  }

  /** Stop, and remove what the server has. */
  cancel() {
    this.pause();
    this.forget();
    for (const part of this.parts) {
      if (part.url) end(part.url);
      part.url = undefined;
    }
  }

  forget() {
    keep(kept().filter((one) => !same(one, this.known)));
  }

  /** Send a part until the server has all of it; return the answer that came with its last byte. */
  async carry(part) {
    let offset = part.url ? undefined : 0; // unknown after a failure
    return this.persist(async (progressed) => {
      if (!part.url) {
        part.url = await this.create(part);
        offset = 0;
        keep([...kept().filter((one) => !same(one, this.known)), { ...this.known, parts: this.parts }]);
      }
      if (offset === undefined) {
        const state = await this.ask("GET", part.url);
        if (state.status === 404 || state.status === 410) {
          part.url = undefined; // the server has given it up: begin again
          return undefined;
        }
        if (state.status >= 400) throw failure(state);
        offset = Number(state.header("Upload-Offset"));
        if (offset > part.sent) progressed();
        this.sent(part, offset);
        if (offset === part.end - part.start) return answerOf(state);
      }
      const from = offset;
      offset = undefined;
      const headers = { "Content-Type": "application/offset+octet-stream", "Upload-Offset": from };
      const body = this.file.slice(part.start + from, part.end);
      const after = await this.ask("PATCH", part.url, headers, body, (bytes) => this.sent(part, from + bytes));
      if (after.status !== 204) throw failure(after);
      return answerOf(after);
    });
  }

  /** Begin the upload of a part; return its URL. */
  async create(part) {
    const alone = this.parts.length === 1;
    const headers = { "Upload-Length": part.end - part.start };
    if (alone) headers["Upload-Metadata"] = this.metadata();
    else headers["Upload-Concat"] = "partial";
    const created = await this.ask("POST", this.endpoint, headers);
    if (created.status !== 201) throw failure(created);
    return new URL(created.header("Location"), this.endpoint).href;
  }

  join() {
    const urls = this.parts.map((part) => part.url).join(" ");
    const headers = { "Upload-Concat": `final;${urls}`, "Upload-Metadata": this.metadata() };
    return this.persist(async () => {
      const joined = await this.ask("POST", this.endpoint, headers);
      // The parts have expired. If only the answer to an earlier try was lost, we get it again.
      if (joined.status === 404) throw new Lost("The connection was lost while the file was being stored");
      if (joined.status !== 201) throw failure(joined);
      if (joined.header("Upload-Result") !== null) return answerOf(joined);
      await rest(1000, this.stopped.signal); // a worker is still at it: the same request waits for it again
      return undefined;
    });
  }

  /** Return the first result of an attempt; after a failure that may pass, wait a little and try again. */
  async persist(attempt) {
    for (let tries = 0; ; tries += 1) {
      try {
        const result = await attempt(() => (tries = 0));
        if (result !== undefined) return result;
      } catch (error) {
        if (!(error instanceof Passing)) throw error;
        if (tries >= TRIES || error.after > LONGEST_WAIT) throw new Lost(error.words);
        this.told.waiting();
        await rest(Math.max(error.after * 1000, DELAYS[Math.min(tries, DELAYS.length - 1)]), this.stopped.signal);
      }
    }
  }

  sent(part, bytes) {
    part.sent = bytes;
    this.told.progress(this.parts.reduce((sum, { sent }) => sum + sent, 0));
  }

  metadata() {
    const fields = Object.entries({ filename: this.known.name, ...this.fields?.() }).filter(([, value]) => value);
    return fields.map(([name, value]) => `${name} ${base64(value)}`).join(",");
  }

  ask(method, url, headers = {}, body = null, progress = undefined) {
    return ask(method, url, { headers, body, progress, signal: this.stopped.signal });
  }
}

/** A failure that may be over soon; the server may say after how many seconds. */
class Passing extends Error {
  constructor(words, after = 0) {
    super(words);
    Object.assign(this, { words, after });
  }
}

/** Return the error for a response: one that may pass, or the server's last word. */
function failure(response) {
  const { status } = response;
  const moved = status === 409 && response.header("Upload-Offset") !== null; // its next byte is another one
  if (!moved && status < 500 && ![404, 408, 423, 429].includes(status)) return new Refused(response);
  if (status === 507) return new Refused(response);
  return new Passing(wordsOf(response), Number(response.header("Retry-After")) || 0);
}

/** Return the words of an answer; what stands in front of the server may answer in another format, or in one word. */
export function wordsOf({ text, status }) {
  if (status === 507) return "The server has no room left for this file.";
  try {
    const { error, message, status: said } = JSON.parse(text);
    if (error === "Forbidden") return "Your API token does not allow this, or its quota is used up.";
    return String(message ?? error ?? said);
  } catch {
    return status ? `The server answered with status ${status}` : text;
  }
}

/** Return what the surface answered to the whole upload; of a part, it has answered nothing. */
function answerOf(response) {
  const result = response.header("Upload-Result");
  return { text: result === null ? "" : decodeURIComponent(result), manageUrl: response.header("X-Manage-Url") };
}

/** Send a request, by XMLHttpRequest, which tells how much of the body was sent. Raises Passing and AbortError. */
export function ask(method, url, { headers = {}, body = null, progress, signal } = {}) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    request.addEventListener("load", () =>
      resolve({ status: request.status, text: request.responseText, header: (name) => request.getResponseHeader(name) }),
    );
    request.addEventListener("error", () => reject(new Passing("The connection was lost")));
    request.addEventListener("abort", () => reject(signal.reason));
    request.addEventListener("loadend", () => signal?.removeEventListener("abort", stop));
    if (progress) request.upload.addEventListener("progress", (event) => progress(event.loaded));
    signal?.addEventListener("abort", stop);
    request.open(method, url);
    request.setRequestHeader("Accept", "application/json");
    if (url.includes("/uploads/")) request.setRequestHeader("Tus-Resumable", "1.0.0");
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.send(body);
  });
}

function end(url) {
  ask("DELETE", url).catch(() => {}); // else the server gives it up by itself
}

/** Wait, at most until the network is back. Raises AbortError. */
function rest(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      if (signal.aborted) reject(signal.reason);
      else resolve();
    };
    const timer = setTimeout(done, milliseconds);
    window.addEventListener("online", done);
    signal.addEventListener("abort", done);
  });
}

function split(size, count) {
  const cuts = Array.from({ length: count + 1 }, (_, number) => Math.floor((size * number) / count));
  return cuts.slice(1).map((stop, number) => ({ start: cuts[number], end: stop }));
}

function same(one, other) {
  return ["endpoint", "name", "size", "modified"].every((key) => one[key] === other[key]);
}

function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT) ?? "[]");
  } catch {
    return []; // there is no storage here
  }
}

function keep(uploads) {
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(uploads));
  } catch {
    // Without it, an upload does not survive a reload.
  }
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
