// All screens. To add one, write its module in `screens` and add its row here; docs/console.md has an example.
import { Collections } from "./screens/collections.js";
import { Duplicates } from "./screens/duplicates.js";
import { RecordMap } from "./screens/map.js";
import { Record } from "./screens/record.js";
import { Records } from "./screens/records.js";
import { Search } from "./screens/search.js";
import { Settings } from "./screens/settings.js";
import { SourceRuns, Syncs } from "./screens/syncs.js";
import { Trust } from "./screens/trust.js";
import { WeakResults } from "./screens/weak.js";

/**
 * @typedef {object} Screen
 * @property {string} path parts of the address; `:name` is a variable
 * @property {string} title
 * @property {"bar" | "tab" | ""} shown in the bar, among the tabs of a collection, or nowhere
 * @property {string} scope that a key needs to see it; empty: any key
 * @property {(props: import("./core/app.js").ScreenProps) => any} view
 */

/** In the order of bar and tabs. @type {Screen[]} */
export const SCREENS = [
  { path: "collections", title: "Collections", shown: "bar", scope: "", view: Collections },
  { path: "syncs", title: "Syncs", shown: "bar", scope: "sync", view: Syncs },
  { path: "syncs/:source", title: "Source", shown: "", scope: "sync", view: SourceRuns },
  { path: "trust", title: "Trust", shown: "bar", scope: "", view: Trust },
  { path: "collections/:name/search", title: "Search", shown: "tab", scope: "search", view: Search },
  { path: "collections/:name/records", title: "Records", shown: "tab", scope: "search", view: Records },
  { path: "collections/:name/records/:record", title: "Record", shown: "", scope: "search", view: Record },
  { path: "collections/:name/duplicates", title: "Duplicates", shown: "tab", scope: "search", view: Duplicates },
  { path: "collections/:name/map", title: "Map", shown: "tab", scope: "search", view: RecordMap },
  { path: "collections/:name/weak", title: "Weak results", shown: "tab", scope: "admin", view: WeakResults },
  { path: "collections/:name/settings", title: "Settings", shown: "tab", scope: "", view: Settings },
];

/**
 * The screen of a path, and the values of its variables.
 * @param {string[]} path
 * @returns {{ screen: Screen, params: Record<string, string> } | undefined}
 */
export function findScreen(path) {
  for (const screen of SCREENS) {
    const parts = screen.path.split("/");
    if (parts.length !== path.length) continue;
    if (parts.every((part, place) => part.startsWith(":") || part === path[place])) {
      const pairs = parts.map((part, place) => [part.slice(1), path[place] ?? ""]);
      return { screen, params: Object.fromEntries(pairs.filter((_, place) => parts[place]?.startsWith(":"))) };
    }
  }
  return undefined;
}
