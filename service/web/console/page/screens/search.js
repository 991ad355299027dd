// Search by a picture, records, colours, words, or several of them; and why a hit is a hit.
import { describeAttributes } from "../core/attributes.js";
import { html, useState } from "../core/html.js";
import { useCollection, useLoad } from "../core/load.js";
import { changeQuery } from "../core/place.js";
import { asCurl, asPython, hitsOf, readSearch, requestOf, runSearch, writeTerms } from "../core/search.js";
import { Busy, Failure } from "../parts/failure.js";
import { Facets, Filter } from "../parts/filter.js";
import { Found } from "../parts/found.js";
import { QueryPicture } from "../parts/query_picture.js";
import { Copied, Options, Terms } from "../parts/search_options.js";

/** @typedef {import("../../openapi").components["schemas"]} Schemas */

const PAUSE_MS = 150; // after a change, before a search: each sends the picture again
const [MORE, LESS] = [1, -0.5]; // weights of a record to be like, or unlike
/** The picture of this tab, by collection: the only state that is not in the URL. @type {Map<string, Blob>} */
const pictures = new Map();

/** @param {import("../core/app.js").ScreenProps} props */
export function Search({ app, params, query }) {
  const name = /** @type {string} */ (params.name);
  const collection = useCollection(name);
  const encoder = app.info.encoders.find((one) => one.id === collection.value?.encoderId);
  const blocks = encoder?.blocks ?? [];
  const search = readSearch(query, blocks);
  const [picture, setPicture] = useState(pictures.get(name));
  const attributes = useLoad((signal) => describeAttributes(name, search.filter, signal), [name, search.filter]);
  const isEmpty = !picture && !search.terms.some((term) => term.weight > 0);
  const found = useLoad(async (signal) => {
    if (isEmpty || !collection.value) return undefined;
    await new Promise((go) => setTimeout(go, PAUSE_MS));
    return signal.aborted ? undefined : runSearch(name, search, blocks, picture, signal);
  }, [collection.value, picture, JSON.stringify(search)]);
  const show = (/** @type {Blob | undefined} */ given) => {
    if (given) pictures.set(name, given);
    else pictures.delete(name);
    setPicture(given);
    changeQuery({ region: undefined });
  };
  const add = (/** @type {import("../core/search.js").Kind} */ kind, /** @type {string} */ value, weight = MORE) =>
    changeQuery(writeTerms([...search.terms.filter((term) => term.kind !== kind || term.value !== value), { kind, value, weight }]));
  const actions = [
    { words: "More like", run: (/** @type {string} */ id) => add("recordId", id) },
    { words: "Less like", run: (/** @type {string} */ id) => add("recordId", id, LESS) },
  ];
  const setFilter = (/** @type {string} */ filter) => changeQuery({ filter });
  const first = found.value?.first;
  const request = requestOf(search, blocks, picture !== undefined);
  return html`<div class="search">
    <section class="ask" aria-label="Query">
      <${QueryPicture} picture=${picture} region=${search.region} used=${picture && first?.regionsUsed[0]} onPicture=${show}
        onRegion=${(/** @type {any} */ region) => changeQuery({ region: region && [region.left, region.top, region.right, region.bottom].join(",") })} />
      <${Terms} terms=${search.terms} encoder=${encoder} onAdd=${add} onChange=${(/** @type {any} */ terms) => changeQuery(writeTerms(terms))} />
      <${Options} search=${search} blocks=${blocks} own=${name} />
    </section>
    <section class="answer" aria-label="Answer">
      <${Failure} error=${collection.error} retry=${collection.reload} />
      <${Filter} value=${search.filter} attributes=${attributes.value} hints=${first ? [...first.filterHints] : []} onChange=${setFilter} />
      ${attributes.value && html`<${Facets} value=${search.filter} attributes=${attributes.value} onChange=${setFilter} />`}
      <${Busy} when=${found.loading && !isEmpty}>Searching …<//>
      <${Failure} error=${found.error} retry=${found.reload} />
      ${isEmpty && html`<p>Give a picture or a record id to see what is like it.</p>`}
      ${!isEmpty && found.value && html`<${Found} app=${app} collection=${collection.value} found=${found.value} other=${search.compare} actions=${actions} />`}
      ${!isEmpty && html`<${Copied} curl=${asCurl(name, request, picture !== undefined)} python=${asPython(name, request, picture !== undefined)} />`}
      ${!isEmpty && first && hitsOf(first).length === 0 && html`<p>No record matches.</p>`}
    </section>
  </div>`;
}
