// A tus server as its README has it: tus.mjs PORT FOLDER, from a folder with node_modules.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [port, folder] = process.argv.slice(2);
const installed = createRequire(`${process.cwd()}/`);
const { Server } = await import(pathToFileURL(installed.resolve("@tus/server")));
const { FileStore } = await import(pathToFileURL(installed.resolve("@tus/file-store")));

const server = new Server({ path: "/files", datastore: new FileStore({ directory: folder }) });
server.listen({ host: "127.0.0.1", port: Number(port) });
