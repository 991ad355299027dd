// What needs Node. Everything else runs in browsers, too.
import { readFile } from "node:fs/promises";

/** The picture in a file. Rejects as `readFile` does if the file cannot be read. */
export async function pictureFromFile(path: string | URL): Promise<Uint8Array> {
  return new Uint8Array(await readFile(path));
}
