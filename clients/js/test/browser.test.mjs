// A bundle for browsers, run with nothing but what browsers have, against a real server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createContext, runInContext } from "node:vm";
import { build } from "esbuild";
import { readFileSync } from "node:fs";

const WEB = ["fetch", "FormData", "Blob", "File", "URL", "URLSearchParams", "TextDecoder", "AbortController", "Headers",
  "Response", "ReadableStream", "setTimeout", "clearTimeout", "atob", "btoa", "Uint8Array", "Float32Array", "ArrayBuffer",
  "TypeError", "SyntaxError", "Error", "DataView", "JSON"];

test("the main entry needs nothing of Node", async () => {
  const bundle = await build({
    stdin: { contents: 'export { Client, NotFound } from "afterimage-client";', resolveDir: process.cwd() },
    bundle: true, write: false, minify: true, platform: "browser", target: "es2022", format: "iife", globalName: "afterimage",
  });
  const code = bundle.outputFiles[0].text;
  console.log(`the bundle has ${code.length} bytes`);
  assert.ok(code.length < 60_000);
  const page = createContext(Object.fromEntries(WEB.map((name) => [name, globalThis[name]]).filter(([, value]) => value)));
  const { Client, NotFound } = runInContext(`${code}; afterimage`, page);
  const client = new Client({ url: process.env.AFTERIMAGE_URL, apiKey: process.env.AFTERIMAGE_API_KEY });
  const collection = `browser-${process.version.split(".")[0]}`;
  await client.createCollection({ name: collection });
  const image = new Blob([readFileSync(`${process.env.PICTURES}/0.jpg`)], { type: "image/jpeg" });
  await client.insertRecords({ collection, records: [{ recordId: "1", image }] });
  const { hits } = await client.search({ collection, query: [{ image }], k: 1 });
  assert.deepEqual(hits.map((hit) => [hit.recordId, hit.distance < 1e-3]), [["1", true]]);
  await assert.rejects(client.getCollection({ name: "none" }), (error) => error instanceof NotFound);
});
