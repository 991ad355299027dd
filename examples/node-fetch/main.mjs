// Inserts a picture, searches with it, and shows the last sync of a source. Node 18 or later, nothing to install.
// Usage: node main.mjs COLLECTION PICTURE SOURCE, with AFTERIMAGE_URL and AFTERIMAGE_API_KEY set.
import { readFile } from "node:fs/promises";

const { AFTERIMAGE_URL: url = "http://127.0.0.1:50080", AFTERIMAGE_API_KEY: key } = process.env;
const [collection, path, source] = process.argv.slice(2);

/** Makes a call and returns its response. Throws an error with the reason that the server gave. */
async function call(method, path, fields, picture) {
  const headers = { authorization: `Bearer ${key}`, ...(picture && { "content-type": "image/jpeg" }) };
  const response = await fetch(`${url}${path}?${new URLSearchParams(fields)}`, { method, headers, body: picture });
  const body = await response.json();
  if (!response.ok) throw new Error(`${body.details?.[0]?.reason ?? response.status}: ${body.message}`);
  return body;
}

try {
  const picture = await readFile(path);
  const of = `/v1/collections/${encodeURIComponent(collection)}`;

  // The body is the picture, the fields of the record are in the query string.
  const fields = { record_id: "1", "attributes.color": "red" };
  const [inserted] = (await call("POST", `${of}/records:insert`, fields, picture)).results;
  if (inserted.error) throw new Error(`${inserted.error.reason}: ${inserted.error.message}`);
  console.log(`inserted ${inserted.recordId}: ${inserted.outcome}`);

  const found = await call("POST", `${of}:search`, { k: 1, filter: 'color = "red"' }, picture);
  for (const hit of found.hits) console.log(`found ${hit.recordId} with score ${hit.score.toFixed(2)}`);

  const [run] = (await call("GET", "/v1/runs", { source, page_size: 1 })).runs;
  if (!run) console.log(`sync ${source}: no run yet`);
  else console.log(`sync ${source}: ${run.state}, ${run.createdCount} created, ${run.failedCount} failed`);
} catch (error) {
  console.error(error.message, error.cause?.message ?? "");
  process.exitCode = 1;
}
