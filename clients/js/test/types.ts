// Compiled, never run: what the types allow and refuse.
import { Client, inBatches, NotFound, type Hit, type Record, type Run } from "../src/index.js";

export async function uses(client: Client, file: File): Promise<void> {
  const found = await client.search({ collection: "shoes", query: [{ image: file }, { url: "https://x" }], k: 5 });
  const hits: Hit[] = found.hits;
  const score: number = hits[0]!.score;
  const vector: Float32Array = hits[0]!.vector;
  const color: string | number | boolean | string[] | undefined = hits[0]!.attributes["color"];
  const allowed: number = found.allowedCount;
  const inserted = await client.insertRecords({
    collection: "shoes",
    records: [{ recordId: "1", image: new Uint8Array(3), attributes: { color: "red", price: 3.5, tags: ["new"] } }],
  });
  const reason: string | undefined = inserted.results[0]!.error?.reason;
  for await (const line of client.watchRun({ runId: "1" })) {
    const run: Run | undefined = line.run;
    void run;
  }
  for await (const response of client.importRecords({ collection: "shoes" }, inBatches([{ recordId: "2" }]))) {
    void response.results.length;
  }
  const records: Record[] = (await client.listRecords({ collection: "shoes", pageSize: 10 })).records;
  await client.getServerInfo();
  void [score, vector, color, allowed, reason, records, new NotFound("x").code satisfies "NOT_FOUND"];

  // @ts-expect-error a search needs a collection
  await client.search({ k: 5 });
  // @ts-expect-error a path is no picture
  await client.search({ collection: "shoes", query: [{ image: "shoe.jpg" }], k: 5 });
  // @ts-expect-error no such field
  await client.search({ collection: "shoes", limit: 5 });
  // @ts-expect-error an attribute is no object
  await client.insertRecords({ collection: "shoes", records: [{ recordId: "1", attributes: { a: { b: 1 } } }] });
  // @ts-expect-error no such policy
  await client.setPicturePolicy({ collection: "shoes", policy: "KEEP" });
  // @ts-expect-error no such call
  await client.find({ collection: "shoes" });
}
