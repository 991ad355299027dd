import { Aborted, type AfterimageError, ResourceExhausted, Unavailable } from "./errors.js";

/** How often and when a call is sent again. Only calls that are safe to repeat are. */
export interface RetryPolicy {
  /** Number of attempts in all. 1: no retry. */
  attempts: number;
  /** Waits are random, up to `baseMs` * 2^n, at most `mostMs`; and never shorter than the server asks for. */
  baseMs: number;
  mostMs: number;
  /** If the server asks for a longer wait, the call fails at once. */
  longestMs: number;
}

export const DEFAULT_RETRY: RetryPolicy = { attempts: 5, baseMs: 100, mostMs: 5000, longestMs: 60_000 };

/** The milliseconds to wait before attempt `attempt` + 1 (the first is 1); undefined: give up. */
export function retryDelay(policy: RetryPolicy, error: AfterimageError, attempt: number): number | undefined {
  const overloaded = error instanceof ResourceExhausted && error.retryDelayMs !== undefined;
  if (!overloaded && !(error instanceof Unavailable) && !(error instanceof Aborted)) return undefined;
  const stated = error.retryDelayMs ?? 0;
  if (attempt >= policy.attempts || stated > policy.longestMs) return undefined;
  return Math.max(stated, Math.random() * Math.min(policy.mostMs, policy.baseMs * 2 ** attempt));
}

/** Waits. Rejects with the signal's reason if it is aborted. */
export function wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
