// What a search can be told besides its picture: records, colours, words, weights, order, number.
import { call } from "../core/api.js";
import { html, submitTo, useState, valueTo } from "../core/html.js";
import { useLoad } from "../core/load.js";
import { changeQuery } from "../core/place.js";
import { Field } from "./field.js";

/** @typedef {import("../core/search.js").Search} Search */
/** @typedef {import("../core/search.js").SearchTerm} SearchTerm */
/** @typedef {import("../core/search.js").Kind} Kind */

const NUMBERS = [12, 24, 48, 100];

/**
 * @typedef {object} TermsProps
 * @property {SearchTerm[]} terms
 * @property {import("../../openapi").components["schemas"]["Encoder"] | undefined} encoder says what can be asked for
 * @property {(kind: Kind, value: string) => void} onAdd
 * @property {(terms: SearchTerm[]) => void} onChange
 */

/** @param {TermsProps} props */
export function Terms({ terms, encoder, onAdd, onChange }) {
  const weigh = (/** @type {SearchTerm} */ term, /** @type {number} */ weight) =>
    onChange(terms.map((one) => (one === term ? { ...term, weight: weight || 1 } : one)));
  return html`
    <ul class="terms">${terms.map((term) => html`<li key=${term.kind + term.value} class="row">
      <span>${term.weight < 0 ? "Less like" : "More like"} ${term.kind === "color" && html`<span class="dot" style=${{ backgroundColor: term.value }}></span>`}<strong>${term.value}</strong></span>
      <label><span class="hidden">Weight of ${term.value}</span><${Field} type="number" step="0.1" min="-10" max="10" value=${term.weight}
        onValue=${(/** @type {string} */ value) => weigh(term, Number(value))} /></label>
      <button type="button" class="small" aria-label="Remove ${term.value}" onClick=${() => onChange(terms.filter((one) => one !== term))}>Remove</button>
    </li>`)}</ul>
    <${Addition} label="Like a record" placeholder="record id" onAdd=${(/** @type {string} */ id) => onAdd("recordId", id)} />
    ${encoder?.takesText && html`<${Addition} label="In words" placeholder="red mug with stripes" onAdd=${(/** @type {string} */ words) => onAdd("text", words)} />`}
    ${encoder?.takesColor && html`<${Addition} label="In a colour" type="color" onAdd=${(/** @type {string} */ color) => onAdd("color", color)} />`}`;
}

/** @param {{ label: string, type?: string, placeholder?: string, onAdd: (value: string) => void }} props */
function Addition({ label, type = "text", placeholder, onAdd }) {
  const empty = type === "color" ? "#d02030" : "";
  const [value, setValue] = useState(empty);
  const add = () => {
    onAdd(value.trim());
    if (!empty) setValue("");
  };
  return html`<form class="row" onSubmit=${submitTo(add)}><label>${label} <input required type=${type} maxlength="1000" value=${value} placeholder=${placeholder} onInput=${valueTo(setValue)} /></label>
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
