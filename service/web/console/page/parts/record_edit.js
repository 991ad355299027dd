// Changes product id and attributes of a record. Vector and picture are unchanged.
import { ApiError, call, path } from "../core/api.js";
import { html, submitTo, useState, valueTo } from "../core/html.js";
import { useAction } from "../core/load.js";
import { sorted } from "../core/text.js";
import { Failure } from "./failure.js";

/** @typedef {import("../../openapi").components["schemas"]} Schemas */
/** @typedef {{ name: string, kind: string, text: string }} Row */

const NOT_PLAIN = /^$|^[\s[]|,|\s$/; // what commas between the values of a list would change
const KINDS = ["text", "number", "yes/no", "list"];

/** @param {{ name: string, record: Schemas["Record"], onDone: () => void }} props */
export function Edit({ name, record, onDone }) {
  const [product, setProduct] = useState(record.productId);
  const [rows, setRows] = useState(() => sorted(record.attributes).map(rowOf));
  const [done, setDone] = useState("");
  const [save, busy, error] = useAction(async () => {
    const before = sorted(record.attributes).map((entry) => JSON.stringify(rowOf(entry)));
    const changed = rows.filter((row) => !before.includes(JSON.stringify(row)));
    const setAttributes = Object.fromEntries(changed.map((row) => [row.name, valueOf(row)]));
    const removeAttributes = Object.keys(record.attributes).filter((name) => !rows.some((row) => row.name === name));
    const patch = { recordId: record.recordId, productId: product, setAttributes, removeAttributes };
    /** @type {Schemas["UpdateRecordsResponse"]} */
    const { results } = await call("POST", path("/v1/collections/{}/records:update", name), { body: { patches: [patch] } });
    const failed = results[0]?.error;
    if (failed) throw new ApiError(failed.message, { reason: failed.reason, field: failed.field });
    setDone("Saved.");
    onDone();
  });
  const change = (/** @type {number} */ place, /** @type {Partial<Row>} */ part) => {
    setDone("");
    setRows(rows.map((row, at) => (at === place ? { ...row, ...part } : row)));
  };
  return html`<details><summary>Edit</summary><form onSubmit=${submitTo(save)}>
    <label>Product <input value=${product} onInput=${valueTo(setProduct)} /></label>
    ${rows.map((row, place) => html`<div class="row" key=${place}>
      <label>Attribute <input required pattern="[a-z][a-z0-9_]{0,63}" title="Small letters, digits and _" value=${row.name} onInput=${valueTo((value) => change(place, { name: value }))} /></label>
      <label>Type <select value=${row.kind} onChange=${valueTo((value) => change(place, { kind: value }))}>${KINDS.map((kind) => html`<option>${kind}</option>`)}</select></label>
      <label class="wide">Value <input value=${row.text} onInput=${valueTo((value) => change(place, { text: value }))} /></label>
      <button type="button" aria-label="Remove ${row.name}" onClick=${() => setRows(rows.filter((_, at) => at !== place))}>Remove</button>
    </div>`)}
    <p class="row"><button type="button" onClick=${() => setRows([...rows, { name: "", kind: "text", text: "" }])}>Add an attribute</button>
      <button type="submit" class="main" disabled=${busy}>Save</button> <span role="status">${done}</span></p>
    <${Failure} error=${error} />
  </form></details>`;
}

/** @param {[string, any]} entry @returns {Row} */
function rowOf([name, value]) {
  if (Array.isArray(value)) return { name, kind: "list", text: value.some((one) => NOT_PLAIN.test(one)) ? JSON.stringify(value) : value.join(", ") };
  const kind = typeof value === "number" ? "number" : typeof value === "boolean" ? "yes/no" : "text";
  return { name, kind, text: String(value) };
}

/** @param {string} name @param {string} text of JSON */
function listOf(name, text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(`${name}: write a list as red, blue or, in JSON, as ["red, dark", "blue"].`);
  }
}

/** @param {Row} row */
function valueOf({ name, kind, text }) {
  if (kind === "list" && text.trim().startsWith("[")) return listOf(name, text);
  if (kind === "list") return text.split(",").map((one) => one.trim()).filter(Boolean);
  if (kind === "text") return text;
  const value = kind === "number" ? Number(text) : { true: true, yes: true, false: false, no: false }[text.trim().toLowerCase()];
  if (text.trim() === "" || value === undefined || Number.isNaN(value)) throw new ApiError(`${name}: ${text || "nothing"} is no ${kind === "number" ? "number" : "true or false"}.`);
  return value;
}
