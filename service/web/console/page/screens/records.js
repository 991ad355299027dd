// The records of a collection as a table: filtered, ordered, page by page.
import { call, path } from "../core/api.js";
import { describeAttributes } from "../core/attributes.js";
import { html, valueTo } from "../core/html.js";
import { useLoad } from "../core/load.js";
import { changeQuery, go, linkTo } from "../core/place.js";
import { age, count, counted, valueText } from "../core/text.js";
import { Busy, Failure } from "../parts/failure.js";
import { Facets, Filter } from "../parts/filter.js";

/** @typedef {import("../../openapi").components["schemas"]} Schemas */

const PAGE = 50;
const MOST_COLUMNS = 6; // attributes in the table; a record's own page has all

/** @param {import("../core/app.js").ScreenProps} props */
export function Records({ params, query }) {
  const name = /** @type {string} */ (params.name);
  const filter = query.filter ?? "";
  const target = path("/v1/collections/{}/records", name);
  const attributes = useLoad((signal) => describeAttributes(name, filter, signal), [name, filter]);
  const total = useLoad(
    (signal) => /** @type {Promise<Schemas["CountRecordsResponse"]>} */ (call("GET", `${target}:count`, { query: { filter }, signal })),
    [name, filter],
  );
  const page = useLoad(
    (signal) => /** @type {Promise<Schemas["ListRecordsResponse"]>} */ (
      call("GET", target, { query: { pageSize: PAGE, pageToken: query.page, filter, orderBy: query.order }, signal })
    ),
    [name, filter, query.page, query.order],
  );
  const columns = (attributes.value ?? []).slice(0, MOST_COLUMNS).map((one) => one.name);
  const setFilter = (/** @type {string} */ changed) => changeQuery({ filter: changed, page: "" });
  return html`
    <${Filter} value=${filter} attributes=${attributes.value} hints=${total.value?.filterHints} onChange=${setFilter} />
    ${attributes.value && html`<${Facets} value=${filter} attributes=${attributes.value} onChange=${setFilter} />`}
    <div class="row">
      <p role="status">${total.value ? counted(total.value.recordCount, "record") : "…"}</p>
      <label>Order <select value=${query.order ?? ""} onChange=${valueTo((order) => changeQuery({ order, page: "" }))}>
        <option value="">as inserted</option>
        ${(attributes.value ?? []).filter((one) => one.kind !== "list").flatMap(({ name: one }) => html`
          <option value=${one}>${one}, ascending</option><option value="${one} desc">${one}, descending</option>`)}</select></label>
    </div>
    <${Busy} when=${page.loading} />
    <${Failure} error=${page.error ?? total.error} retry=${page.reload} />
    ${page.value && page.value.records.length > 0 && html`<${Table} name=${name} records=${page.value.records} columns=${columns} />`}
    ${page.value && page.value.records.length === 0 && html`<p>No record matches.</p>`}
    <p class="row">
      ${query.page && html`<a href=${linkTo(["collections", name, "records"], { ...query, page: "" })}>First page</a>`}
      ${page.value?.nextPageToken && html`<button type="button" onClick=${() => go(["collections", name, "records"], { ...query, page: page.value?.nextPageToken })}>Next page</button>`}
    </p>`;
}

/** @param {{ name: string, records: Schemas["Record"][], columns: string[] }} props */
function Table({ name, records, columns }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Records"><table>
    <thead><tr><th>Record</th><th>Product</th>${columns.map((one) => html`<th>${one}</th>`)}<th>Changed</th><th class="number">Write</th></tr></thead>
    <tbody>${records.map((record) => html`<tr key=${record.recordId}>
      <td><a href=${linkTo(["collections", name, "records", record.recordId])}>${record.recordId}</a></td>
      <td>${record.productId}</td>
      ${columns.map((one) => html`<td>${one in record.attributes ? valueText(record.attributes[one]) : ""}</td>`)}
      <td title=${record.updateTime}>${age(record.updateTime)}</td><td class="number">${count(record.sequence)}</td>
    </tr>`)}</tbody></table></div>`;
}
