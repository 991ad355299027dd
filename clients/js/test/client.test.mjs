// Against a real server: AFTERIMAGE_URL, AFTERIMAGE_API_KEY with all scopes, PICTURES (a folder with 0.jpg, 1.jpg, 2.jpg).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { inspect } from "node:util";
import { runInNewContext } from "node:vm";
import * as api from "afterimage-client";
import { Client, inBatches } from "afterimage-client";
import { pictureFromFile } from "afterimage-client/node";

const { AFTERIMAGE_URL: url, AFTERIMAGE_API_KEY: apiKey, PICTURES, RUN, FOLLOWED } = process.env;
const client = new Client({ url, apiKey });
const picture = (number) => readFileSync(`${PICTURES}/${number}.jpg`);
const node = process.version.split(".")[0]; // several run beside each other
const numbers = (function* () { for (let n = 1; ; n += 1) yield n; })();

async function collection() {
  const name = `${node}-${numbers.next().value}`;
  await client.createCollection({ name });
  return name;
}

async function drained(stream) {
  const found = [];
  for await (const item of stream) found.push(item);
  return found;
}

test("pictures are bytes, blobs, files and paths, and each fails alone", async () => {
  const shoes = await collection();
  const { results } = await client.insertRecords({
    collection: shoes,
    records: [
      { recordId: "bytes", image: new Uint8Array(picture(0)), productId: "p", attributes: { color: "red", price: 39.5, tags: ["a"] } },
      { recordId: "blob", image: new Blob([picture(1)]), region: { right: 1, bottom: 0.5 } },
      { recordId: "buffer", image: new Uint8Array(picture(1)).buffer },
      { recordId: "path", image: await pictureFromFile(`${PICTURES}/2.jpg`), attributes: { image: "x", vector: "y" } },
      { recordId: "broken", image: new Uint8Array([1, 2, 3]) },
      { recordId: "none" },
    ],
  });
  assert.deepEqual(results.map((r) => r.error?.reason ?? r.outcome), [
    ...Array(4).fill("WRITE_OUTCOME_CREATED"), "IMAGE_FORMAT_UNSUPPORTED", "SOURCE_MISSING"]);
  const found = await client.search({ collection: shoes, query: [{ image: picture(0) }], k: 3, filter: "price < 50" });
  assert.deepEqual(found.hits.map((h) => [h.recordId, h.productId, h.distance < 1e-3]), [["bytes", "p", true]]);
  assert.deepEqual(found.hits[0].attributes, { color: "red", price: 39.5, tags: ["a"] });
  assert.equal(found.allowedCount, 1);
  const [named] = (await client.getRecords({ collection: shoes, recordIds: ["path"] })).records;
  assert.deepEqual(named.attributes, { image: "x", vector: "y" });
  assert.deepEqual((await client.listRecords({ collection: shoes, pageSize: 2 })).records.map((r) => r.recordId), ["bytes", "blob"]);
  assert.equal((await client.countRecords({ collection: shoes, filter: 'color = "red"' })).recordCount, 1);
});

test("vectors come and go as Float32Array, with the values that the server has", async () => {
  const shoes = await collection();
  const [{ vector }] = (await client.encode({ pictures: [{ image: picture(0) }] })).pictures;
  assert.ok(vector instanceof Float32Array);
  assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-3);
  await client.insertRecords({ collection: shoes, records: [{ recordId: "1", vector }, { recordId: "2", image: picture(0) }] });
  const { hits } = await client.search({ collection: shoes, query: [{ vector }], k: 2, includeVectors: true });
  assert.ok(hits.every((hit) => hit.distance < 1e-3 && hit.vector.every((v, at) => Math.abs(v - vector[at]) < 1e-3)));
});

test("pictures below a list are sent too, and those of a ranking beside its list", async () => {
  const shoes = await collection();
  await client.insertRecords({ collection: shoes, records: [{ recordId: "1", image: picture(1) }] });
  const { results } = await client.batchSearch({
    searches: [{ collection: shoes, query: [{ image: new Blob([picture(1)]) }], k: 1 }, { collection: "none", k: 1 }] });
  assert.equal(results[0].response.hits[0].recordId, "1");
  assert.equal(results[0].response.allowedCount, 1);
  assert.ok(results[1].error.reason);
  const { ranked } = await client.rank({ query: { image: picture(1) }, pictures: [{ image: picture(2) }, { image: picture(1) }] });
  assert.deepEqual(ranked.map((item) => item.index), [1, 0]);
});

test("any number of records is imported in batches", async () => {
  const shoes = await collection();
  const [{ vector }] = (await client.encode({ pictures: [{ image: picture(0) }] })).pictures;
  async function* records() {
    for (let number = 0; number < 70; number += 1) yield { recordId: `${number}`, vector };
    yield { recordId: "picture", image: picture(1) };
    yield { recordId: "broken", image: new Uint8Array(3) };
  }
  const responses = await drained(client.importRecords({ collection: shoes }, inBatches(records())));
  assert.deepEqual(responses.map((r) => r.results.length), [32, 32, 8]);
  const results = responses.flatMap((r) => r.results);
  assert.deepEqual(results.slice(69).map((r) => [r.recordId, Boolean(r.error)]), [["69", false], ["picture", false], ["broken", true]]);
  assert.equal((await client.countRecords({ collection: shoes })).recordCount, 71);
  const failing = (function* () { yield { records: [{ recordId: "x", vector }] }; throw new Error("of the caller"); })();
  await assert.rejects(drained(client.importRecords({ collection: shoes }, failing)), /of the caller/);
});

test("streams are read line by line, and their errors are typed", async () => {
  const shoes = await collection();
  await client.insertRecords({ collection: shoes, records: ["1", "2"].map((recordId) => ({ recordId, image: picture(0) })) });
  const groups = await drained(client.findDuplicates({ collection: shoes }));
  assert.deepEqual(groups.map((g) => g.recordIds), [["1", "2"]]);
  for await (const group of client.findDuplicates({ collection: shoes })) { assert.ok(group); break; }
  await assert.rejects(drained(client.findDuplicates({ collection: "none" })), { name: "NotFound", reason: "COLLECTION_NOT_FOUND" });
  await assert.rejects(drained(client.watchRun({ runId: "none" })), { reason: "RUN_NOT_FOUND" });
});

test("a run is watched to its end", async () => {
  const runs = (await drained(client.watchRun({ runId: RUN }))).map((line) => line.run);
  assert.deepEqual(runs.map((run) => [run.state, run.createdCount, run.plan.createCount]), [["succeeded", 2, 2]]);
  const [latest] = (await client.listRuns({ source: FOLLOWED, pageSize: 1 })).runs;
  assert.equal(latest.runId, RUN);
});

test("examples are added over a stream of batches", async () => {
  await client.createTrainingSet({ name: node });
  const batches = [0, 1].map((number) => ({ examples: [{ exampleId: `${number}`, image: picture(number), label: "shoe" }] }));
  const answers = await drained(client.addExamples({ trainingSet: node }, batches)).catch((error) => error);
  // Without object storage the server refuses; the request itself was understood.
  if (answers instanceof Error) assert.equal(answers.code, "FAILED_PRECONDITION", answers.message);
  else assert.deepEqual(answers.map((a) => a.results.length), [1, 1]);
});

test("errors have a class, a reason, a field and a request id", async () => {
  const shoes = await collection();
  await assert.rejects(client.getCollection({ name: "none" }), (error) => {
    assert.ok(error instanceof api.NotFound && error instanceof api.AfterimageError && error instanceof Error);
    assert.deepEqual([error.code, error.reason, error.status], ["NOT_FOUND", "COLLECTION_NOT_FOUND", 404]);
    return error.requestId.length > 0;
  });
  await assert.rejects(client.createCollection({ name: shoes }), { name: "AlreadyExists", reason: "COLLECTION_EXISTS" });
  await assert.rejects(client.search({ collection: shoes, query: [{ recordId: "1" }] }), { reason: "ARGUMENT_INVALID", field: "k" });
  await assert.rejects(client.search({ collection: shoes, limit: 1 }), { reason: "FIELD_UNKNOWN", field: "limit" });
  await assert.rejects(new Client({ url, apiKey: "af_live_x" }).listCollections(), { name: "Unauthenticated" });
  await assert.rejects(new Client({ url, apiKey: () => Promise.reject(new Error("no key today")) }).listCollections(), /no key today/);
});

test("what no server accepts is not sent", async () => {
  const query = (image) => client.search({ collection: "shoes", query: [{ image }], k: 1 });
  await assert.rejects(query("shoe.jpg"), { name: "InvalidArgument", field: "query[0].image" });
  await assert.rejects(query(null), { field: "query[0].image" });
  await assert.rejects(client.search({ collection: "shoes", query: [{ vector: new Float64Array(2) }], k: 1 }), { field: "query[0].vector" });
  await assert.rejects(client.search({ collection: "shoes", k: NaN }), { field: "k" });
  for (const color of [new Map(), new Set(["red"]), () => "red", Symbol("red"), Promise.resolve("red")]) {
    await assert.rejects(client.insertRecords({ collection: "shoes", records: [{ recordId: "1", attributes: { color } }] }),
      { name: "InvalidArgument", field: "records[0].attributes.color" });
  }
  await assert.rejects(client.listCollections({}, { timeoutMs: NaN }), { field: "timeoutMs" });
  await assert.rejects(client.listCollections({}, { timeoutMs: -1 }), { field: "timeoutMs" });
  await assert.rejects(client.search({ k: 1 }), { field: "collection" });
  await assert.rejects(client.search(), { name: "InvalidArgument" });
  await assert.rejects(client.getPictureLink({ collection: "shoes", recordId: ".." }), { field: "recordId" });
  for (const wrong of ["127.0.0.1:50080", "grpc://127.0.0.1", "http://user:secret@127.0.0.1"]) {
    assert.throws(() => new Client({ url: wrong }), { field: "url" });
  }
  assert.throws(() => new Client({ url, apiKey: "af live" }), { field: "apiKey" });
});

test("ids with signs of paths and of other scripts arrive unchanged", async () => {
  const shoes = await collection();
  const ids = ["a/b:c", "50 %?#&", "$&$1", "schön ✓", "..a"];
  await client.insertRecords({ collection: shoes, records: ids.map((recordId) => ({ recordId, image: picture(0) })) });
  for (const recordId of ids) {
    await assert.rejects(client.getPictureLink({ collection: shoes, recordId }), (error) => error.reason !== "RECORD_NOT_FOUND" && error.code !== "INVALID_ARGUMENT");
  }
  await client.deleteRecords({ collection: shoes, recordIds: ids, force: true });
  await assert.rejects(client.getPictureLink({ collection: shoes, recordId: ids[0] }), { code: "NOT_FOUND" });
});

test("objects of another realm are known, as test environments have them", async () => {
  const { Uint8Array: Bytes, Float32Array: Floats } = runInNewContext("({ Uint8Array, Float32Array })");
  const shoes = await collection();
  const { results } = await client.insertRecords({ collection: shoes, records: [{ recordId: "1", image: Bytes.from(picture(0)) }] });
  assert.equal(results[0].outcome, "WRITE_OUTCOME_CREATED");
  const [{ vector }] = (await client.encode({ pictures: [{ image: picture(0) }] })).pictures;
  const query = { collection: shoes, query: [{ vector: Floats.from(vector) }], k: 1 };
  assert.equal((await client.search(query, { timeoutMs: Infinity })).hits[0].recordId, "1");
});

test("there is a method for each call, also for require, and the key is not shown", () => {
  const methods = new Set(Object.getOwnPropertyNames(Object.getPrototypeOf(Client.prototype)));
  methods.delete("constructor");
  assert.equal(methods.size, Number(process.env.CALLS));
  const required = createRequire(import.meta.url)("afterimage-client");
  assert.deepEqual(Object.keys(required).sort(), Object.keys(api).sort());
  assert.equal(new required.Client({ url, apiKey }) instanceof required.Client, true);
  assert.ok(!inspect(client, { depth: 9, showHidden: true }).includes(apiKey) && JSON.stringify(client) === "{}");
});
