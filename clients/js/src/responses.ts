import { decodeVector } from "./base64.js";
import type { Shapes } from "./calls.js";
import { fromStatus, Unavailable } from "./errors.js";

/** Converts the parsed JSON of a schema, in place: 64-bit integers to numbers, vectors to Float32Array. */
export function decode(shapes: Shapes, schema: string, value: unknown): unknown {
  const fields = shapes[schema];
  if (!fields || typeof value !== "object" || value === null) return value;
  const object = value as Record<string, unknown>;
  for (const [name, kind] of Object.entries(fields)) {
    if (object[name] !== undefined) object[name] = converted(shapes, kind, object[name]);
  }
  return object;
}

function converted(shapes: Shapes, kind: string, value: unknown): unknown {
  if (kind === "number") return Number(value);
  if (kind === "vector") return decodeVector(String(value));
  const [several, inner] = kind.split(" ", 2);
  if (inner === undefined) return decode(shapes, kind, value);
  if (several === "list") return (value as unknown[]).map((item) => converted(shapes, inner, item));
  const entries = Object.entries(value as object).map(([name, item]) => [name, converted(shapes, inner, item)]);
  return Object.fromEntries(entries);
}

/** The JSON lines of a response as they arrive. Throws the error that the last line may be, or Unavailable. */
export async function* lines(response: Response): AsyncGenerator<unknown> {
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      const parts = (rest + (done ? decoder.decode() : decoder.decode(value, { stream: true }))).split("\n");
      rest = done ? "" : parts.pop()!;
      for (const line of parts) if (line.trim()) yield parsed(line);
      if (done) return;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function parsed(line: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Unavailable("the stream ended within a line");
  }
  if (typeof value === "object" && value !== null && "error" in value && Object.keys(value).length === 1) {
    throw fromStatus(value.error as object);
  }
  return value;
}
