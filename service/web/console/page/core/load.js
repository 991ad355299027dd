// Work that a component waits for, and that ends with it.
import { call, path } from "./api.js";
import { useEffect, useState } from "./html.js";

/**
 * @template T
 * @typedef {object} Loaded
 * @property {T | undefined} value the newest result; undefined before the first one, and after a failure
 * @property {Error | undefined} error why the newest attempt failed
 * @property {boolean} loading
 * @property {() => void} reload begins anew
 */

/** @param {unknown} failure */
export const isAborted = (failure) => failure instanceof DOMException && failure.name === "AbortError";

/**
 * Begins `work` now, and again whenever one of `keys` changes. Its signal ends when its result is no longer wanted.
 * The previous result stays until the next one is there.
 * @template T
 * @param {(signal: AbortSignal) => Promise<T>} work
 * @param {unknown[]} keys compared one by one, as values
 * @returns {Loaded<T>}
 */
export function useLoad(work, keys) {
  const [state, setState] = useState(
    /** @type {{ value?: T, error?: Error, loading: boolean }} */ ({ loading: true }),
  );
  const [round, setRound] = useState(0);
  useEffect(() => {
    const ending = new AbortController();
    setState((before) => ({ ...before, loading: true }));
    work(ending.signal).then(
      (value) => ending.signal.aborted || setState({ value, loading: false }),
      (error) => ending.signal.aborted || setState({ error, loading: false }),
    );
    return () => ending.abort();
  }, [...keys, round]);
  return { value: state.value, error: state.error, loading: state.loading, reload: () => setRound((n) => n + 1) };
}

/** @typedef {import("../../openapi").components["schemas"]["Collection"]} Collection */

/** The collection of a name. @param {string} name */
export const useCollection = (name) =>
  useLoad(async (signal) => /** @type {Collection} */ ((await call("GET", path("/v1/collections/{}", name), { signal })).collection), [name]);

/**
 * An action that its user starts. Returns [run, busy, error]; a second start waits for the first to end.
 * @param {() => Promise<void>} work
 * @returns {[() => void, boolean, Error | undefined]}
 */
export function useAction(work) {
  const [state, setState] = useState(/** @type {{ busy: boolean, error?: Error }} */ ({ busy: false }));
  const run = () => {
    if (state.busy) return;
    setState({ busy: true });
    work().then(
      () => setState({ busy: false }),
      (error) => setState(isAborted(error) ? { busy: false } : { busy: false, error }),
    );
  };
  return [run, state.busy, state.error];
}
