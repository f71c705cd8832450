// Lets tus-js-client speak HTTP/2, all requests over one connection, and breaks its bodies off after some bytes: by turns
// it resets the stream, and the connection stays, or it destroys the connection.
import { connect, constants } from "node:http2";

export class Http2Stack {
  constructor(limits) {
    this.limits = limits;
  }

  getName() {
    return "Http2Stack";
  }

  createRequest(method, url) {
    return new Request(this, method, url);
  }

  connection(origin) {
    if (!this.session || this.session.destroyed || this.session.closed) {
      this.session = connect(origin);
      this.session.on("error", () => {}); // the streams have it, too
    }
    return this.session;
  }

  breakOff(stream) {
    if (this.limits.length % 2) stream.close(constants.NGHTTP2_CANCEL);
    else this.session.destroy();
  }

  close() {
    this.session?.close();
  }
}

class Request {
  headers = {};

  constructor(stack, method, url) {
    Object.assign(this, { stack, method, url });
  }

  getMethod() {
    return this.method;
  }

  getURL() {
    return this.url;
  }

  setHeader(name, value) {
    this.headers[name] = value;
  }

  getHeader(name) {
    return this.headers[name];
  }

  setProgressHandler() {}

  getUnderlyingObject() {
    return this.stream;
  }

  async abort() {
    this.stream?.close(constants.NGHTTP2_CANCEL);
  }

  send(body) {
    const { origin, pathname } = new URL(this.url);
    const length = body ? { "content-length": body.length } : {};
    const head = { ...this.headers, ...length, ":method": this.method, ":path": pathname };
    return new Promise((resolve, reject) => {
      const stream = this.stack.connection(origin).request(head, { endStream: !body });
      const text = [];
      let answer;
      stream.on("response", (headers) => (answer = headers));
      stream.on("data", (piece) => text.push(piece));
      stream.on("error", reject);
      stream.on("close", () => (answer ? resolve(new Response(answer, text)) : reject(new Error("broken off"))));
      if (body?.length > this.stack.limits.at(-1)) {
        const sent = body.subarray(0, this.stack.limits.pop());
        stream.write(sent, () => this.stack.breakOff(stream));
      } else if (body) {
        stream.end(body);
      }
      this.stream = stream;
    });
  }
}

class Response {
  constructor(headers, text) {
    Object.assign(this, { headers, text });
  }

  getStatus() {
    return this.headers[":status"];
  }

  getHeader(name) {
    return this.headers[name.toLowerCase()];
  }

  getBody() {
    return Buffer.concat(this.text).toString();
  }

  getUnderlyingObject() {
    return this.headers;
  }
}
