/**
 * A picture: its bytes, or a Blob, such as a File of a form. For a file of the disk see `pictureFromFile` in
 * `afterimage-client/node`; for a picture on the web use the field `url` instead.
 */
export type Picture = Uint8Array | ArrayBuffer | Blob;

/** Whether a value can be sent as a picture. */
export function isPicture(value: unknown): value is Picture {
  return value instanceof Blob || value instanceof ArrayBuffer || (value instanceof Uint8Array);
}

/** The picture as a Blob. */
export function toBlob(picture: Picture): Blob {
  return picture instanceof Blob ? picture : new Blob([picture as BlobPart]);
}

/** The bytes of a picture. */
export async function toBytes(picture: Picture): Promise<Uint8Array> {
  if (picture instanceof Uint8Array) return picture;
  return new Uint8Array(picture instanceof Blob ? await picture.arrayBuffer() : picture);
}

/** The number of bytes of a picture. */
export function sizeOf(picture: Picture): number {
  return picture instanceof Blob ? picture.size : picture.byteLength;
}
