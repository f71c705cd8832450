// Uploads a file by tus-js-client, and prints the URL of the upload: upload.mjs ENDPOINT FILE WAY [LIMIT,…], from the
// folder with node_modules. A way is one of those below. To an endpoint by https it speaks HTTP/2, and breaks a body off
// after each limit (bytes).
import { createReadStream, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { PassThrough } from "node:stream";
import { Http2Stack } from "./http2.mjs";

const [endpoint, file, way, limits] = process.argv.slice(2);
const { Upload } = createRequire(`${process.cwd()}/`)("tus-js-client");

const MIB = 1024 ** 2;
const ways = {
  plain: {},
  chunked: { chunkSize: MIB },
  parallel: { parallelUploads: 3 },
  "parallel and chunked": { parallelUploads: 3, chunkSize: MIB / 2 },
  deferred: { uploadLengthDeferred: true, chunkSize: 1_000_000 },
  "data during creation": { uploadDataDuringCreation: true },
};
const options = ways[way];
// A stream whose length it cannot know. It asks files for more bytes than they have, if the length is deferred.
const input = options.uploadLengthDeferred ? createReadStream(file).pipe(new PassThrough()) : readFileSync(file);
const httpStack = endpoint.startsWith("https:") ? new Http2Stack((limits ?? "").split(",").filter(Boolean).map(Number)) : undefined;
const upload = new Upload(input, {
  endpoint,
  ...(httpStack && { httpStack }),
  metadata: { filename: "from node.bin" },
  retryDelays: Array(200).fill(50), // milliseconds; they begin anew whenever bytes have arrived
  ...options,
  onSuccess: () => {
    console.log(upload.url);
    httpStack?.close();
  },
  onError: (error) => {
    console.error(String(error));
    process.exitCode = 1;
    httpStack?.close();
  },
});
upload.start();
