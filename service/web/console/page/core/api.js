// Calls of the API as docs/http.md describes them. All of them, and nothing else, leave the page for the server.
import { currentKey, signOut } from "./session.js";

/** A call that failed. `reason`: see docs/errors.md. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{ status?: number, reason?: string, requestId?: string, field?: string }} [more]
   */
  constructor(message, { status = 0, reason = "", requestId = "", field = "" } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.reason = reason;
    this.requestId = requestId;
    this.field = field;
  }
}

/**
 * @typedef {object} Given
 * @property {Record<string, any>} [query] fields in the query string; a list gives one parameter for each member
 * @property {unknown} [body] the request as JSON
 * @property {Blob[]} [pictures] sent as bytes beside `body`, in a form: the one at place i belongs to item i of the
 *   request's list
 * @property {AbortSignal} [signal]
 * @property {string} [key] instead of the one that is signed in
 */

/**
 * Makes a call and returns its response, in the spelling of JSON. 64-bit integers are strings.
 * @param {string} verb
 * @param {string} path such as `/v1/collections`
 * @param {Given} [given]
 * @returns {Promise<any>}
 * @throws {ApiError} and DOMException (AbortError), if `signal` ended it
 */
export async function call(verb, path, given = {}) {
  return (await send(verb, path, given)).json();
}

/**
 * Makes a call whose response is a stream, and yields its messages as they come.
 * @param {string} verb
 * @param {string} path
 * @param {Given} [given]
 * @returns {AsyncGenerator<any>}
 * @throws {ApiError}
 */
export async function* stream(verb, path, given = {}) {
  const response = await send(verb, path, given);
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((failure) => Promise.reject(unreachable(failure)));
      const lines = (rest + decoder.decode(value, { stream: !done })).split("\n");
      rest = done ? "" : /** @type {string} */ (lines.pop());
      for (const line of lines.filter(Boolean)) yield message(JSON.parse(line), response.status);
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {}); // whoever stops reading ends the call
  }
}

/**
 * @param {any} line
 * @param {number} status
 */
function message(line, status) {
  if (line.error) throw errorOf(line.error, status);
  return line;
}

/**
 * The address of a part of a path: `path("/v1/collections/{}/records", name)`.
 * @param {string} template
 * @param {...string} values
 */
export function path(template, ...values) {
  const parts = template.split("{}");
  return parts.reduce((made, part, place) => made + encodeURIComponent(/** @type {string} */ (values[place - 1])) + part);
}

/**
 * @param {string} verb
 * @param {string} target
 * @param {Given} given
 */
async function send(verb, target, given) {
  const own = given.key === undefined;
  /** @type {RequestInit & { headers: Record<string, string> }} */
  const request = {
    method: verb, signal: given.signal ?? null, credentials: "omit", redirect: "error", referrerPolicy: "no-referrer",
    cache: "no-store", headers: { authorization: `Bearer ${own ? currentKey() : given.key}` },
  };
  if (given.pictures?.length) request.body = formOf(given.body, given.pictures);
  else if (given.body !== undefined) {
    request.body = JSON.stringify(given.body);
    request.headers["content-type"] = "application/json";
  }
  const response = await fetch(target + queryOf(given.query), request).catch((failure) => {
    throw unreachable(failure);
  });
  if (response.ok) return response;
  const error = errorOf(await response.json().catch(() => ({})), response.status);
  if (response.status === 401 && own) signOut(error.message);
  throw error;
}

/**
 * @param {unknown} body
 * @param {Blob[]} pictures
 */
function formOf(body, pictures) {
  const form = new FormData();
  form.append("request", JSON.stringify(body ?? {}));
  pictures.forEach((picture, place) => picture && form.append(`image-${place}`, picture, "picture"));
  return form;
}

/** @param {Record<string, any>} [query] */
function queryOf(query = {}) {
  const pairs = Object.entries(query).flatMap(([name, value]) => [value].flat().map((one) => [name, String(one)]));
  const text = new URLSearchParams(pairs.filter(([, value]) => value !== "" && value !== "undefined")).toString();
  return text && `?${text}`;
}

/** @param {unknown} failure of fetch, or of reading a stream */
function unreachable(failure) {
  if (failure instanceof DOMException && failure.name === "AbortError") return failure;
  return new ApiError("The server cannot be reached, or closed the connection.", { reason: "UNREACHABLE" });
}

/**
 * @param {any} body google.rpc.Status as JSON
 * @param {number} status of HTTP
 */
function errorOf(body, status) {
  const details = Object.assign({}, ...(body.details ?? []));
  return new ApiError(body.message ?? `The server answered with status ${status}.`, {
    status, reason: details.reason ?? "", requestId: details.metadata?.request_id ?? "",
    field: details.fieldViolations?.[0]?.field ?? "",
  });
}
