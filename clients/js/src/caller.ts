import type { Call, Shapes } from "./calls.js";
import { AfterimageError, DeadlineExceeded, fromResponse, invalid, Unavailable } from "./errors.js";
import { encode } from "./requests.js";
import { decode, lines } from "./responses.js";
import { DEFAULT_RETRY, retryDelay, wait, type RetryPolicy } from "./retries.js";

export interface ClientOptions {
  /** Address of the server's HTTP port, such as `https://search.shop.example`. */
  url: string | URL;
  /** The API key, or a function that returns it for each call. */
  apiKey?: string | (() => string | Promise<string>);
  /** Deadline of a call with its retries; 30 seconds by default, Infinity for none. Streams and long work have none. */
  timeoutMs?: number;
  retry?: Partial<RetryPolicy>;
  /** Sent with each call. */
  headers?: Record<string, string>;
  /** Replaces the global `fetch`. */
  fetch?: typeof fetch;
}

export interface CallOptions {
  timeoutMs?: number;
  /** Ends the call, which then rejects with the signal's reason. */
  signal?: AbortSignal;
  /**
   * For calls that create or start something: the server makes them once for each key within a day, so that they are
   * repeated after a failure. Without it such a call is not repeated.
   */
  idempotencyKey?: string;
}

/** What is sent over a stream: one batch after the other. */
export type Batches<T> = Iterable<T> | AsyncIterable<T>;

/** Sends calls: key, deadline, retries, errors. */
export class Caller {
  readonly #shapes: Shapes;
  readonly #url: string;
  readonly #key: () => string | Promise<string>;
  readonly #timeoutMs: number;
  readonly #retry: RetryPolicy;
  readonly #headers: Record<string, string>;
  readonly #fetch: typeof fetch;

  constructor(options: ClientOptions, shapes: Shapes) {
    this.#shapes = shapes;
    this.#url = address(options.url);
    const key = options.apiKey ?? "";
    this.#key = typeof key === "function" ? key : () => key;
    if (typeof key === "string") checkKey(key);
    this.#timeoutMs = checkTimeout(options.timeoutMs) ?? 30_000;
    this.#retry = { ...DEFAULT_RETRY, ...options.retry };
    this.#headers = { ...options.headers };
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
  }

  /** A call with one response. */
  protected async unary<T>(call: Call, request: object, options: CallOptions = {}): Promise<T> {
    return this.#withRetries(call, request, options, async (signal, timeoutMs) => {
      const response = await this.#send(call, request, undefined, signal, timeoutMs, options.idempotencyKey);
      return decode(this.#shapes, call.response, await response.json()) as T;
    });
  }

  /** A call with any number of responses. Those that watch something are opened again if they break. */
  protected async *stream<T>(call: Call, request: object, options: CallOptions = {}): AsyncGenerator<T> {
    const timeoutMs = finite(checkTimeout(options.timeoutMs) ?? Infinity);
    for (let attempt = 1; ; attempt += 1) {
      const limit = new Limit(options.signal, timeoutMs);
      try {
        const response = await this.#send(call, request, undefined, limit.signal, timeoutMs);
        for await (const line of lines(response)) {
          attempt = 0;
          yield decode(this.#shapes, call.response, line) as T;
        }
        return;
      } catch (failure) {
        const error = limit.explained(failure);
        const delay = call.name.startsWith("Watch") ? retryDelay(this.#retry, error, attempt) : undefined;
        if (delay === undefined) throw error;
        await wait(delay, options.signal);
      } finally {
        limit.end();
      }
    }
  }

  /** A call with any number of requests. Browsers send no streams, so each batch is an HTTP request of its own. */
  protected async *exchange<T>(
    call: Call, request: object, batches: Batches<object>, options: CallOptions = {},
  ): AsyncGenerator<T> {
    for await (const batch of batches) {
      const answers = await this.#withRetries(call, { ...request, ...batch }, options, async (signal, timeoutMs) => {
        const response = await this.#send(call, request, batch, signal, timeoutMs);
        const found: T[] = [];
        for await (const line of lines(response)) found.push(decode(this.#shapes, call.response, line) as T);
        return found;
      });
      yield* answers;
    }
  }

  async #withRetries<T>(
    call: Call, request: object, options: CallOptions,
    work: (signal: AbortSignal, timeoutMs: number | undefined) => Promise<T>,
  ): Promise<T> {
    const timeoutMs = finite(checkTimeout(options.timeoutMs) ?? (call.noDeadline ? Infinity : this.#timeoutMs));
    const deadline = timeoutMs === undefined ? Infinity : Date.now() + timeoutMs;
    const limit = new Limit(options.signal, timeoutMs);
    // A second attempt to insert new records alone would fail on those that the first one stored.
    const keyed = call.takesKey && options.idempotencyKey !== undefined;
    const safe = keyed || (call.retrySafe && !(request as { insertOnly?: boolean } | undefined)?.insertOnly);
    try {
      for (let attempt = 1; ; attempt += 1) {
        try {
          const leftMs = timeoutMs === undefined ? undefined : Math.max(1, deadline - Date.now());
          return await work(limit.signal, leftMs);
        } catch (failure) {
          const error = limit.explained(failure);
          const delay = safe ? retryDelay(this.#retry, error, attempt) : undefined;
          if (delay === undefined || Date.now() + delay >= deadline) throw error;
          await wait(delay, options.signal);
        }
      }
    } finally {
      limit.end();
    }
  }

  async #send(
    call: Call, request: object, batch: object | undefined, signal: AbortSignal, timeoutMs: number | undefined,
    idempotencyKey?: string,
  ): Promise<Response> {
    const { path, headers, body } = await encode(call, request, batch);
    const key = checkKey(await this.#key());
    const all: Record<string, string> = { ...this.#headers, ...headers };
    if (key) all.authorization = `Bearer ${key}`;
    if (call.takesKey && idempotencyKey !== undefined) all["idempotency-key"] = idempotencyKey;
    if (timeoutMs !== undefined) all["x-timeout"] = String(timeoutMs / 1000);
    const init: RequestInit = { method: call.verb, headers: all, signal, redirect: "error", cache: "no-store" };
    if (body !== undefined) init.body = body;
    const response = await this.#fetch(this.#url + path, init);
    if (!response.ok) throw await fromResponse(response);
    return response;
  }
}

/** Ends an attempt when the caller's signal is aborted or the time is over, and says which of them it was. */
class Limit {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #timeoutMs: number | undefined;
  readonly #timer: ReturnType<typeof setTimeout> | undefined;
  #late = false;
  readonly #abort = () => this.#controller.abort(this.#outer?.reason);

  constructor(outer: AbortSignal | undefined, timeoutMs: number | undefined) {
    this.#outer = outer;
    this.#timeoutMs = timeoutMs;
    if (outer?.aborted) this.#abort();
    outer?.addEventListener("abort", this.#abort, { once: true });
    if (timeoutMs !== undefined) {
      this.#timer = setTimeout(() => {
        this.#late = true;
        this.#controller.abort();
      }, timeoutMs);
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The typed error of a failed attempt. Throws the reason of the caller's signal, and what is no failure of a call. */
  explained(failure: unknown): AfterimageError {
    if (this.#outer?.aborted) throw this.#outer.reason;
    if (this.#late) return new DeadlineExceeded(`no answer within ${this.#timeoutMs} ms`, { cause: failure });
    if (failure instanceof AfterimageError) return failure;
    const { name, message, cause } = (failure ?? {}) as Error; // by name: a test environment may have classes of its own
    if (name !== "TypeError" && name !== "SyntaxError") throw failure;
    const why = (cause as Error | undefined)?.message;
    return new Unavailable(`the server cannot be reached (${message}${why ? `: ${why}` : ""})`, { cause: failure });
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#outer?.removeEventListener("abort", this.#abort);
  }
}

function address(url: string | URL): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw invalid("url", `the url ${JSON.stringify(String(url))} is none, such as http://127.0.0.1:50080`);
  }
  if (!["http:", "https:"].includes(parsed.protocol)) {
    throw invalid("url", `the url begins with ${parsed.protocol}; use http: or https: and the server's HTTP port`);
  }
  if (parsed.username || parsed.password) throw invalid("url", "the url has a user or a password; use apiKey");
  return parsed.origin + parsed.pathname.replace(/\/+$/, "");
}

function checkTimeout(timeoutMs: number | undefined): number | undefined {
  if (timeoutMs === undefined || timeoutMs > 0) return timeoutMs;
  throw invalid("timeoutMs", `timeoutMs is ${timeoutMs}; use a number of milliseconds above 0, or Infinity`);
}

/** Undefined for what is longer than timers can be. */
function finite(timeoutMs: number): number | undefined {
  return timeoutMs < 2 ** 31 ? timeoutMs : undefined;
}

function checkKey(key: string): string {
  const trimmed = key.trim();
  if (!/^[!-~]*$/.test(trimmed)) throw invalid("apiKey", "the API key contains a space or an invalid character");
  return trimmed;
}
