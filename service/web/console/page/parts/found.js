// The answer to a search: how it was found, and the hits; of two collections side by side.
import { html } from "../core/html.js";
import { useCollection } from "../core/load.js";
import { hitsOf } from "../core/search.js";
import { count, counted } from "../core/text.js";
import { Hits } from "./hits.js";

/** @typedef {import("../../openapi").components["schemas"]} Schemas */
/** @typedef {{ first: Schemas["SearchResponse"], comparison?: Schemas["CompareSearchesResponse"] }} FoundBoth */

const PATHS = {
  SEARCH_PATH_EMPTY: "no record matches the filter",
  SEARCH_PATH_EXACT: "all records were compared",
  SEARCH_PATH_EXACT_FILTERED: "all records that match the filter were compared",
  SEARCH_PATH_GRAPH: "through a graph, the newest records compared exactly",
  SEARCH_PATH_GRAPH_FILTERED: "through a graph, without records that do not match the filter",
  SEARCH_PATH_CLUSTERS_FILTERED: "matching records of the nearest clusters were compared",
  SEARCH_PATH_SKETCHES_FILTERED: "by signatures of all matching records, then the vectors of the best",
  SEARCH_PATH_SKETCHES: "by signatures of all records, then the vectors of the best",
};

/** @param {{ app: import("../core/app.js").App, collection: Schemas["Collection"] | undefined, found: FoundBoth, other: string, actions: import("./hits.js").Action[] }} props */
export function Found({ app, collection, found, other, actions }) {
  const { comparison } = found;
  if (!comparison || !comparison.second) return html`<${Answer} app=${app} collection=${collection} answer=${found.first} actions=${actions} />`;
  return html`<p>${Math.round(100 * comparison.overlap)} % of the hits are the same. Framed hits are in one of the two alone.</p>
    <div class="sides">
      <section aria-label=${collection?.name}><h2>${collection?.name}</h2>
        <${Answer} app=${app} collection=${collection} answer=${found.first} actions=${actions} only=${new Set(comparison.onlyFirst)} /></section>
      <section aria-label=${other}><h2>${other}</h2>
        <${Other} app=${app} name=${other} answer=${comparison.second} only=${new Set(comparison.onlySecond)} /></section>
    </div>`;
}

/** @param {{ app: import("../core/app.js").App, name: string, answer: Schemas["SearchResponse"], only: Set<string> }} props */
function Other({ app, name, answer, only }) {
  const collection = useCollection(name);
  return html`<${Answer} app=${app} collection=${collection.value} answer=${answer} only=${only} />`;
}

/** @param {{ app: import("../core/app.js").App, collection: Schemas["Collection"] | undefined, answer: Schemas["SearchResponse"], actions?: import("./hits.js").Action[], only?: Set<string> }} props */
function Answer({ app, collection, answer, actions, only }) {
  const facts = [
    `${count(answer.allowedCount)} of ${counted(collection?.recordCount ?? 0, "record")}`,
    PATHS[/** @type {keyof typeof PATHS} */ (answer.path)] ?? answer.path,
    `encoder ${answer.encoderId}`, `state after write ${count(answer.sequence)}`,
    answer.learnedOrder && "ordered by what this collection has learned",
    answer.timings && `${answer.timings.encodeMs.toFixed(0)} ms to encode, ${answer.timings.searchMs.toFixed(1)} ms to search`,
  ];
  return html`
    <p class="soft how">How it was found: ${facts.filter(Boolean).join("; ")}.</p>
    ${answer.notes.map((note) => html`<p class="note">${note.message}</p>`)}
    ${answer.passedOverTotal > 0 && html`<p class="soft">${counted(answer.passedOverTotal, "nearer record")} gave way to more different ones.</p>`}
    <${Hits} app=${app} collection=${collection} hits=${hitsOf(answer)} actions=${actions} only=${only} />`;
}
