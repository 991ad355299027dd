// The state of a screen is in the fragment of the URL, such as #/collections/shoes/search?filter=price<50, so that it
// can be kept, shared and gone back to. A fragment is never sent to a server.
import { useEffect, useState } from "./html.js";

/**
 * @typedef {object} Place
 * @property {string[]} path `["collections", "shoes", "search"]`
 * @property {Record<string, string>} query values by name; empty ones are left out
 */

/** @type {Set<(place: Place) => void>} */
const watchers = new Set();

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // written by hand
  }
}

/** @returns {Place} */
export function readPlace(hash = location.hash) {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return {
    path: path.split("/").filter(Boolean).map(decoded),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

/**
 * The address of a place, for links.
 * @param {string[]} path
 * @param {Record<string, string | number | boolean | undefined>} [query]
 */
export function linkTo(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "" && value !== false);
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text && `?${text}`}`;
}

/**
 * Goes to a place, which becomes an entry of the history.
 * @param {string[]} path
 * @param {Record<string, string | number | boolean | undefined>} [query]
 */
export function go(path, query) {
  location.hash = linkTo(path, query);
}

/**
 * Changes values of the current place. `undefined` and "" remove a value.
 * @param {Record<string, string | number | boolean | undefined>} changes
 */
export function changeQuery(changes) {
  const { path, query } = readPlace();
  history.replaceState(null, "", linkTo(path, { ...query, ...changes }));
  announce();
}

function announce() {
  const place = readPlace();
  for (const watcher of watchers) watcher(place);
}

addEventListener("hashchange", announce);

/** The current place, and again whenever it changes. */
export function usePlace() {
  const [place, setPlace] = useState(readPlace);
  useEffect(() => {
    watchers.add(setPlace);
    setPlace(readPlace());
    return () => void watchers.delete(setPlace);
  }, []);
  return place;
}
