// Inserts a picture, searches with it, and shows the last sync of a source. The protos are loaded as they are: no stubs.
// Usage: npm ci; node main.mjs COLLECTION PICTURE SOURCE, with AFTERIMAGE_TARGET and AFTERIMAGE_API_KEY set.
// PROTOS is the folder with afterimage/v1; without it, the one of this repository.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

const { AFTERIMAGE_TARGET: target = "127.0.0.1:50051", AFTERIMAGE_API_KEY: key, PROTOS } = process.env;
const [collection, path, source] = process.argv.slice(2);
const folder = PROTOS ?? fileURLToPath(new URL("../../proto", import.meta.url));
const files = ["record", "search", "sync"].map((name) => `afterimage/v1/${name}_service.proto`);
const { v1 } = grpc.loadPackageDefinition(
  loadSync(files, { includeDirs: [folder], enums: String, longs: Number, defaults: true }),
).afterimage;

const metadata = new grpc.Metadata();
metadata.set("authorization", `Bearer ${key}`);

/** Calls a method of a service, and resolves to its response. */
function call(service, method, request) {
  const client = new v1[service](target, grpc.credentials.createInsecure()); // createSsl(ca) for a server with TLS
  const options = { deadline: Date.now() + 30_000 };
  return promisify(client[method]).call(client, request, metadata, options).finally(() => client.close());
}

try {
  const image = readFileSync(path);
  const records = [{ recordId: "1", image, attributes: { color: { stringValue: "red" } } }];
  const [inserted] = (await call("RecordService", "InsertRecords", { collection, records })).results;
  if (inserted.error) throw new Error(`${inserted.error.reason}: ${inserted.error.message}`);
  console.log(`inserted ${inserted.recordId}: ${inserted.outcome}`);

  const query = { collection, query: [{ image }], k: 1, filter: 'color = "red"' };
  const { hits } = await call("SearchService", "Search", query);
  for (const hit of hits) console.log(`found ${hit.recordId} with score ${hit.score.toFixed(2)}`);

  const [run] = (await call("SyncService", "ListRuns", { source, pageSize: 1 })).runs;
  if (!run) console.log(`sync ${source}: no run yet`);
  else console.log(`sync ${source}: ${run.state}, ${run.createdCount} created, ${run.failedCount} failed`);
} catch (error) {
  console.error(error.message); // the details, with the reason, are in error.metadata.get("grpc-status-details-bin")
  process.exitCode = 1;
}
