import { encodeBase64, encodeVector } from "./base64.js";
import type { Call } from "./calls.js";
import { invalid } from "./errors.js";
import { isPicture, kindOf, toBlob, toBytes, type Picture } from "./pictures.js";

type Fields = Record<string, unknown>;

/** What is sent: path with query string, content type and body. */
export interface Sent {
  path: string;
  headers: Record<string, string>;
  body: FormData | string | undefined;
}

/** Makes an HTTP request of a request of the API. Throws InvalidArgument for what no server would accept. */
export async function encode(call: Call, request: object, batch?: object): Promise<Sent> {
  if (typeof request !== "object" || request === null) throw invalid("", `${call.name} takes a request: an object`);
  const fields: Fields = { ...request };
  let path = call.template;
  for (const name of call.variables) {
    path = path.replace(`{${name}}`, variable(name, fields[name], path));
    delete fields[name];
  }
  if (call.body === "query") return { path: path + query(fields), headers: {}, body: undefined };
  if (call.body === "lines") {
    const line = JSON.stringify(await toJson({ ...fields, ...batch }, ""));
    return { path, headers: { "content-type": "application/x-ndjson" }, body: `${line}\n` };
  }
  const pictures = call.forms ? takePictures(fields, call.onePicture) : new Map<string, Picture>();
  const json = JSON.stringify(await toJson(fields, ""));
  if (pictures.size === 0) return { path, headers: { "content-type": "application/json" }, body: json };
  const form = new FormData(); // whose boundary becomes the content type
  form.append("request", json);
  for (const [part, picture] of pictures) form.append(part, toBlob(picture), part);
  return { path, headers: {}, body: form };
}

function variable(name: string, value: unknown, path: string): string {
  if (typeof value !== "string" || value === "") throw invalid(name, `${name} must be a text that is not empty`);
  const between = path.includes(`/{${name}}/`) || path.endsWith(`/{${name}}`);
  if (between && (value === "." || value === "..")) throw invalid(name, `${name} "${value}" cannot be in a path`);
  return encodeURIComponent(value).replace(/\$/g, "$$$$");
}

function query(fields: Fields): string {
  const pairs = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item === undefined || item === null) continue;
      if (typeof item === "object") throw invalid(name, `${name} must be a text, a number, true or false`);
      pairs.append(name, String(item));
    }
  }
  const text = pairs.toString();
  return text ? `?${text}` : "";
}

/** Takes the pictures out of the fields, by the names of their parts: that of a field, or `image-N` in a list. */
function takePictures(fields: Fields, one: string): Map<string, Picture> {
  const found = new Map<string, Picture>();
  const taken = (item: unknown, part: string, place: string): unknown => {
    if (typeof item !== "object" || item === null || !("image" in item) || item.image === undefined) return item;
    const { image, ...others } = item;
    if (!isPicture(image)) throw noPicture(`${place}.image`, image);
    found.set(part, image);
    return others;
  };
  for (const [name, value] of Object.entries(fields)) {
    if (name === one) fields[name] = taken(value, name, name);
    else if (Array.isArray(value)) {
      fields[name] = value.map((item, number) => taken(item, `image-${number}`, `${name}[${number}]`));
    }
  }
  return found;
}

function noPicture(place: string, value: unknown): Error {
  const given = value === null ? "null" : typeof value;
  return invalid(place, `${place} is ${given}; pass a Uint8Array, an ArrayBuffer or a Blob, or use the field url`);
}

/** The value in the JSON of the API: pictures and vectors as base64. */
async function toJson(value: unknown, place: string): Promise<unknown> {
  const kind = kindOf(value);
  if (kind === "Float32Array") return encodeVector(value as Float32Array);
  if (isPicture(value)) return encodeBase64(await toBytes(value));
  if (ArrayBuffer.isView(value)) throw invalid(place, `${place} is a ${kind}; use Float32Array`);
  if (["Map", "Set", "Function", "Symbol", "Promise"].includes(kind)) throw invalid(place, `${place} is a ${kind}`);
  if (typeof value === "bigint") return value.toString();
  if (typeof value === "number" && !Number.isFinite(value)) throw invalid(place, `${place} is ${value}`);
  if (Array.isArray(value)) return Promise.all(value.map((item, number) => toJson(item, `${place}[${number}]`)));
  if (typeof value !== "object" || value === null || kind === "Date") return value;
  const names = Object.entries(value).filter(([, inner]) => inner !== undefined);
  const inside = (name: string) => (place ? `${place}.${name}` : name);
  return Object.fromEntries(
    await Promise.all(names.map(async ([name, inner]) => [name, await toJson(inner, inside(name))] as const)),
  );
}
