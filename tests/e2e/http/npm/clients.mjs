// Calls a server with the unchanged clients of npm, and prints what came back as JSON.
// Arguments: the server's URL, an API key, a file with the descriptors of the API, a picture, and a damaged picture.
import { readFileSync } from "node:fs";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import OpenAI from "openai";

const [baseUrl, key, descriptors, picturePath, damagedPath] = process.argv.slice(2);
const picture = readFileSync(picturePath);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(descriptors)));
const authorize = (next) => (request) => {
  request.header.set("authorization", `Bearer ${key}`);
  return next(request);
};

async function connect(useBinaryFormat, collection) {
  const options = { baseUrl, useBinaryFormat, interceptors: [authorize] };
  const client = (name) =>
    createClient(registry.getService(`afterimage.v1.${name}`), createConnectTransport(options));
  const [collections, records, search] = ["CollectionService", "RecordService", "SearchService"].map(client);
  await collections.createCollection({ collection: { name: collection } });
  const inserted = await records.insertRecords({
    collection,
    records: [{ recordId: "1", source: { case: "image", value: picture },
      attributes: { color: { kind: { case: "stringValue", value: "red" } } } }],
  });
  const found = await search.search({ collection, k: 3, query: [{ source: { case: "image", value: picture } }] });
  let refused;
  try {
    await search.search({ collection: "no-such", k: 3, query: [{ source: { case: "recordId", value: "1" } }] });
  } catch (error) {
    const details = ConnectError.from(error).findDetails(registry.getMessage("google.rpc.ErrorInfo"));
    refused = { code: Code[error.code], reason: details[0].reason };
  }
  const late = await search
    .search({ collection, k: 3, query: [{ source: { case: "image", value: picture } }] }, { timeoutMs: 1 })
    .then(() => "in time", (error) => Code[error.code]);
  const hit = found.hits[0];
  return {
    status: inserted.results[0].status, hits: found.hits.map((h) => h.recordId),
    color: hit.attributes.color?.kind.value, refused, late,
  };
}

async function openai() {
  const client = new OpenAI({ baseURL: `${baseUrl}/v1`, apiKey: key, maxRetries: 0 });
  const uri = (content) => `data:image/jpeg;base64,${content.toString("base64")}`;
  const models = (await client.models.list()).data.map((model) => model.id);
  const one = await client.models.retrieve(models[0]);
  const made = await client.embeddings.create({ model: models[0], input: [uri(picture), uri(picture)] });
  const failed = async (call) => {
    try {
      await call();
      return "no error";
    } catch (error) {
      return { status: error.status, code: error.code, param: error.param };
    }
  };
  return {
    models, one: one.id, vectors: made.data.map((data) => data.embedding),
    missing: await failed(() => client.models.retrieve("gpt-4")),
    damaged: await failed(() =>
      client.embeddings.create({ model: "", input: [uri(picture), uri(readFileSync(damagedPath))] })),
    text: await failed(() => client.embeddings.create({ model: "", input: "a red shoe" })),
  };
}

const answer = { binary: await connect(true, "binary"), json: await connect(false, "json"), openai: await openai() };
console.log(JSON.stringify(answer));
