import { Calls, type ImportRecordsBatch, type ImportRecordsRequest, type ImportRecordsResponse, type RecordInput } from "./generated/calls.js";
import type { Batches, CallOptions } from "./caller.js";
import { isPicture, sizeOf } from "./pictures.js";

const IN_FLIGHT = 2; // one batch is encoded while the next one is sent
const MAX_RECORDS = 32;
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * A client of one server. Each method is a call of the API, named as there: `client.search(request)` calls
 * SearchService/Search. Responses are typed; 64-bit integers are numbers, vectors are Float32Array, times are texts.
 *
 * ```ts
 * const client = new Client({ url: "http://127.0.0.1:50080", apiKey: "af_live_..." });
 * const { hits } = await client.search({ collection: "shoes", query: [{ image: file }], k: 5 });
 * ```
 */
export class Client extends Calls {
  /**
   * Inserts any number of records. Each batch has up to 100 and is one call of InsertRecords, so that pictures are sent
   * as they are; two are in flight. A response has the results of a batch, in order, once they are on disk.
   */
  override async *importRecords(
    request: ImportRecordsRequest, batches: Batches<ImportRecordsBatch>, options?: CallOptions,
  ): AsyncGenerator<ImportRecordsResponse> {
    const waiting: Promise<ImportRecordsResponse>[] = [];
    try {
      for await (const batch of batches) {
        const sent = this.insertRecords({ ...request, ...batch }, options);
        sent.catch(() => undefined); // it is awaited below
        waiting.push(sent);
        if (waiting.length === IN_FLIGHT) yield await waiting.shift()!;
      }
      while (waiting.length > 0) yield await waiting.shift()!;
    } finally {
      await Promise.allSettled(waiting);
    }
  }
}

/** Cuts records into batches for `importRecords`: at most 32 records, and 4 MiB of pictures unless one has more. */
export async function* inBatches(records: Batches<RecordInput>): AsyncGenerator<{ records: RecordInput[] }> {
  let batch: RecordInput[] = [];
  let size = 0;
  for await (const record of records) {
    const bytes = isPicture(record.image) ? sizeOf(record.image) : 0;
    if (batch.length > 0 && (batch.length === MAX_RECORDS || size + bytes > MAX_BYTES)) {
      yield { records: batch };
      [batch, size] = [[], 0];
    }
    batch.push(record);
    size += bytes;
  }
  if (batch.length > 0) yield { records: batch };
}
