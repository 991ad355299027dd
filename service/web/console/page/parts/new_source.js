// A new source: its feed is read first, so that its owner sees how each column is understood.
import { call } from "../core/api.js";
import { html, submitTo, useState, valueTo } from "../core/html.js";
import { useAction, useLoad } from "../core/load.js";
import { Busy, Failure } from "./failure.js";

/** @typedef {import("../../openapi").components["schemas"]} Schemas */

const EMPTY = { name: "", collection: "", url: "", cron: "", authorization: "", recordId: "", productId: "", pictures: "" };

/** @param {{ app: import("../core/app.js").App, onMade: (name: string) => void }} props */
export function NewSource({ onMade }) {
  const [given, setGiven] = useState(EMPTY);
  const [seen, setSeen] = useState(/** @type {Schemas["PreviewFeedResponse"] | undefined} */ (undefined));
  const { value } = useLoad((signal) => call("GET", "/v1/collections", { query: { pageSize: 1000 }, signal }), []);
  const names = /** @type {Schemas["Collection"][]} */ (value?.collections ?? []).map((one) => one.name);
  const collection = given.collection || (names[0] ?? "");
  const options = { mapping: { recordId: given.recordId, productId: given.productId, pictures: given.pictures.split(",").map((one) => one.trim()).filter(Boolean) } };
  const [look, looking, failure] = useAction(async () => {
    setSeen(undefined);
    setSeen(await call("POST", "/v1/feeds:preview", { body: { url: given.url, options, authorization: given.authorization } }));
  });
  const [make, making, error] = useAction(async () => {
    const { name, url, cron, authorization } = given;
    await call("POST", "/v1/sources", { body: { name, collection, url, cron, authorization, options } });
    onMade(name);
  });
  const field = (/** @type {keyof typeof EMPTY} */ name, /** @type {string} */ label, more = {}) => html`<label>${label}
    <input value=${given[name]} ...${more} onInput=${valueTo((value) => setGiven({ ...given, [name]: value }))} /></label>`;
  return html`<details class="creation"><summary>New source</summary>
    <form onSubmit=${submitTo(look)}>
      ${field("url", "Address of the feed", { required: true, placeholder: "shop.example/feed.xml, with https" })}
      ${field("authorization", "Authorization header, if the feed needs one", { type: "password", autocomplete: "off" })}
      <details><summary>Names of the columns, where they are not recognised</summary>
        ${field("recordId", "Record id")} ${field("productId", "Product id")} ${field("pictures", "Pictures, separated by commas")}</details>
      <button type="submit" disabled=${looking}>Preview</button>
    </form>
    <${Busy} when=${looking}>Reading the beginning of the feed …<//>
    <${Failure} error=${failure} />
    ${seen && html`<${Preview} seen=${seen} />
      <form onSubmit=${submitTo(make)}>
        ${field("name", "Name of the source", { required: true, pattern: "[a-z0-9][a-z0-9_\\-]{0,62}", title: "Small letters, digits, - and _" })}
        <label>Collection <select value=${collection} onChange=${valueTo((value) => setGiven({ ...given, collection: value }))}>
          ${names.map((one) => html`<option value=${one}>${one}</option>`)}</select></label>
        ${value && !names.length && html`<p class="note">There is no collection yet that it could fill.</p>`}
        ${field("cron", "Schedule in cron syntax; empty: on demand", { placeholder: "15 * * * *" })}
        <button type="submit" class="main" disabled=${making || !collection}>Create</button>
      </form>`}
    <${Failure} error=${error} />
  </details>`;
}

/** @param {{ seen: Schemas["PreviewFeedResponse"] }} props */
function Preview({ seen }) {
  return html`<section aria-label="Preview">
    <p role="status">${seen.format}, ${seen.encoding}. ${seen.items.length} items read.</p>
    ${seen.notes.map((note) => html`<p class="note">${note}</p>`)}
    <div class="scroll" tabindex="0"><table><thead><tr><th>Column</th><th>Understood as</th><th>Samples</th></tr></thead><tbody>${seen.columns.map((one) => html`<tr>
      <td>${one.name}</td><td>${one.role}${one.attribute && `: ${one.attribute} (${one.type})`} <span class="soft">${one.reason}</span></td>
      <td>${one.samples.map((text) => html`<div>${text.slice(0, 80)}</div>`)}</td></tr>`)}</tbody></table></div>
    <ul>${seen.problems.map((one) => html`<li class="warn">line ${one.line}${one.itemId && ` (${one.itemId})`}: ${one.message}</li>`)}</ul>
  </section>`;
}
