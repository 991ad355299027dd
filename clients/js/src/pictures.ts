/**
 * A picture: its bytes, or a Blob, such as a File of a form. For a file of the disk see `pictureFromFile` in
 * `afterimage-client/node`; for a picture on the web use the field `url` instead.
 */
export type Picture = Uint8Array | ArrayBuffer | Blob;

/** The kind of an object, such as `Uint8Array`, also if it was made by another page or test environment. */
export function kindOf(value: unknown): string {
  return value instanceof Uint8Array ? "Uint8Array" : Object.prototype.toString.call(value).slice(8, -1);
}

/** Whether a value can be sent as a picture. */
export function isPicture(value: unknown): value is Picture {
  return ["Uint8Array", "ArrayBuffer", "Blob", "File"].includes(kindOf(value));
}

const isBlob = (picture: Picture): picture is Blob => ["Blob", "File"].includes(kindOf(picture));

/** The picture as a Blob. */
export function toBlob(picture: Picture): Blob {
  return isBlob(picture) ? picture : new Blob([picture as BlobPart]);
}

/** The bytes of a picture. */
export async function toBytes(picture: Picture): Promise<Uint8Array> {
  if (isBlob(picture)) return new Uint8Array(await picture.arrayBuffer());
  return ArrayBuffer.isView(picture) ? picture : new Uint8Array(picture);
}

/** The number of bytes of a picture. */
export function sizeOf(picture: Picture): number {
  return isBlob(picture) ? picture.size : picture.byteLength;
}
