// The API key: in memory, and by choice of its user in the storage of this tab, which the browser clears with the tab.
const STORED = "afterimage-key";
const LOOPBACK = ["localhost", "127.0.0.1", "[::1]"];

let key = sessionStorage.getItem(STORED) ?? "";
/** @type {Set<(message: string) => void>} */
const watchers = new Set();

/** The key; empty: nobody is signed in. */
export const currentKey = () => key;

/**
 * @param {string} given the key
 * @param {boolean} keep until the tab is closed, also when the page is loaded again
 */
export function keepKey(given, keep) {
  key = given;
  if (keep) sessionStorage.setItem(STORED, given);
  else sessionStorage.removeItem(STORED);
}

/** Forgets the key. `message`: why, for whoever used it. */
export function signOut(message = "") {
  key = "";
  sessionStorage.removeItem(STORED);
  for (const watcher of watchers) watcher(message);
}

/**
 * Calls `watcher` whenever the key is forgotten; returns how to stop that.
 * @param {(message: string) => void} watcher
 */
export function onSignOut(watcher) {
  watchers.add(watcher);
  return () => void watchers.delete(watcher);
}

/**
 * Takes the key of an address like http://127.0.0.1:50090/#key=…, which `make run` prints, and removes it from the
 * address and the history. Only on this machine, so that nobody can sign others in by a link.
 * @returns {boolean} whether there was one
 */
export function takeKeyOfAddress() {
  const given = /^#key=([^&]+)$/.exec(location.hash)?.[1];
  if (!given) return false;
  history.replaceState(null, "", "#/");
  if (LOOPBACK.includes(location.hostname)) keepKey(given, true);
  return true;
}
