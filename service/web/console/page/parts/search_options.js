// What a search can be told besides its picture: records, weights, order, number.
import { call } from "../core/api.js";
import { html, submitTo, useState, valueTo } from "../core/html.js";
import { useLoad } from "../core/load.js";
import { changeQuery } from "../core/place.js";

/** @typedef {import("../core/search.js").Search} Search */
/** @typedef {import("../core/search.js").RecordTerm} RecordTerm */

const NUMBERS = [12, 24, 48, 100];

/** @param {{ terms: RecordTerm[], onAdd: (recordId: string) => void, onChange: (terms: RecordTerm[]) => void }} props */
export function Terms({ terms, onAdd, onChange }) {
  const [id, setId] = useState("");
  const add = () => {
    onAdd(id.trim());
    setId("");
  };
  const weigh = (/** @type {RecordTerm} */ term, /** @type {number} */ weight) =>
    onChange(terms.map((one) => (one === term ? { ...term, weight: weight || 1 } : one)));
  return html`
    <ul class="terms">${terms.map((term) => html`<li key=${term.recordId} class="row">
      <span>${term.weight < 0 ? "Less like" : "More like"} <strong>${term.recordId}</strong></span>
      <label><span class="hidden">Weight of ${term.recordId}</span><input type="number" step="0.1" min="-10" max="10" value=${term.weight}
        onChange=${valueTo((value) => weigh(term, Number(value)))} /></label>
      <button type="button" class="small" aria-label="Remove ${term.recordId}" onClick=${() => onChange(terms.filter((one) => one !== term))}>Remove</button>
    </li>`)}</ul>
    <form class="row" onSubmit=${submitTo(add)}><label>Like a record <input required value=${id} placeholder="record id" onInput=${valueTo(setId)} /></label>
      <button type="submit">Add</button></form>`;
}

/** @param {{ search: Search, blocks: string[], own: string }} props */
export function Options({ search, blocks, own }) {
  const names = useLoad(async (signal) => (await call("GET", "/v1/collections", { query: { pageSize: 1000 }, signal })).collections.map((/** @type {any} */ one) => one.name), []);
  const others = (names.value ?? []).filter((/** @type {string} */ name) => name !== own);
  return html`<fieldset><legend>Order</legend>
    <${Emphasis} blocks=${blocks} weights=${search.weights} />
    <label>Diversity: ${search.diversity || "none"} <input type="range" min="0" max="1" step="0.1" value=${search.diversity}
      onInput=${valueTo((value) => changeQuery({ diversity: Number(value) || "" }))} /></label>
    <label class="check"><input type="checkbox" checked=${search.group} onChange=${valueTo((group) => changeQuery({ group }))} /> One hit per product</label>
    <label>Hits <select value=${search.k} onChange=${valueTo((k) => changeQuery({ k }))}>
      ${[...new Set([...NUMBERS, search.k])].map((number) => html`<option value=${number}>${number}</option>`)}</select></label>
    ${others.length > 0 && html`<label>Compare with <select value=${search.compare} onChange=${valueTo((compare) => changeQuery({ compare }))}>
      <option value="">nothing</option>${others.map((/** @type {string} */ name) => html`<option value=${name}>${name}</option>`)}</select></label>`}
  </fieldset>`;
}

/** How much each block of the vector counts. Two blocks share one slider. @param {{ blocks: string[], weights: number[] }} props */
function Emphasis({ blocks, weights }) {
  const [first, second] = blocks;
  if (blocks.length === 2) {
    const balance = (weights[1] ?? 1) / ((weights[0] ?? 1) + (weights[1] ?? 1) || 1);
    const change = (/** @type {number} */ to) => changeQuery({ weights: to === 0.5 ? "" : [2 * (1 - to), 2 * to].map((one) => Number(one.toFixed(2))).join(",") });
    return html`<label>${first} ↔ ${second} <input type="range" min="0" max="1" step="0.05" value=${balance} aria-valuetext="${Math.round(100 * balance)} % ${second}"
      onInput=${valueTo((value) => change(Number(value)))} /></label>`;
  }
  return blocks.map((name, place) => html`<label>${name} <input type="range" min="0" max="4" step="0.1" value=${weights[place]}
    onInput=${valueTo((value) => changeQuery({ weights: weights.map((one, at) => (at === place ? value : one)).join(",") }))} /></label>`);
}

/** @param {{ curl: string, python: string }} props */
export function Copied({ curl, python }) {
  return html`<details class="copied"><summary>Copy as curl or Python</summary>
    <${Code} name="curl" text=${curl} /><${Code} name="Python" text=${python} /></details>`;
}

/** @param {{ name: string, text: string }} props */
function Code({ name, text }) {
  const [copied, setCopied] = useState("");
  const copy = () => navigator.clipboard?.writeText(text).then(() => setCopied(text), () => setCopied(""));
  return html`<h3>${name} <button type="button" class="small" onClick=${copy}>${copied === text ? "Copied" : `Copy ${name}`}</button></h3><pre tabindex="0">${text}</pre>`;
}
