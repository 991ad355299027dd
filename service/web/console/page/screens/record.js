// One record: its fields, its neighbours, its picture, changes, deletion, and erasure with a receipt.
import { ApiError, call, path } from "../core/api.js";
import { html, useState } from "../core/html.js";
import { useLoad } from "../core/load.js";
import { usePictures } from "../core/pictures.js";
import { linkTo } from "../core/place.js";
import { moment } from "../core/text.js";
import { Busy, Failure } from "../parts/failure.js";
import { Attributes, Hits, Origin, Picture } from "../parts/hits.js";
import { Edit } from "../parts/record_edit.js";
import { Removal } from "../parts/record_removal.js";

/** @typedef {import("../../openapi").components["schemas"]} Schemas */
/** @typedef {{ collection: Schemas["Collection"], record: Schemas["Record"], near: Schemas["Hit"][] }} Whole */

const NEIGHBOURS = 12;

/** @param {import("../core/app.js").ScreenProps} props */
export function Record({ app, params }) {
  const name = /** @type {string} */ (params.name);
  const id = /** @type {string} */ (params.record);
  const [gone, setGone] = useState("");
  const { value, error, loading, reload } = useLoad((signal) => readRecord(name, id, signal), [name, id]);
  const whole = gone ? undefined : value;
  return html`
    <p><a href=${linkTo(["collections", name, "records"])}>All records</a></p>
    <h2>${id}</h2>
    <${Busy} when=${loading} />
    ${!gone && html`<${Failure} error=${error} retry=${reload} />`}
    ${gone && html`<p role="status">${gone}</p>`}
    ${whole && html`<${Fields} app=${app} whole=${whole} />
      <p><a class="button" href=${linkTo(["collections", name, "search"], { terms: `1 ${id}` })}>Search with this record</a></p>
      ${app.can("insert") && html`<${Edit} name=${name} record=${whole.record} onDone=${reload} />`}`}
    ${value && app.can("delete") && html`<${Removal} name=${name} record=${value.record} onGone=${setGone} />`}
    ${whole && html`<h2>Nearest records</h2><${Hits} app=${app} collection=${whole.collection} hits=${whole.near} />`}`;
}

/**
 * @param {string} name
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {Promise<Whole>}
 */
async function readRecord(name, id, signal) {
  const target = path("/v1/collections/{}", name);
  const near = call("POST", `${target}:search`, { body: { query: [{ recordId: id }], k: NEIGHBOURS }, signal });
  const [{ collection }, { records }, { hits }] = await Promise.all([
    call("GET", target, { signal }),
    call("POST", `${target}/records:get`, { body: { recordIds: [id] }, signal }),
    near.catch((error) => (error.reason === "RECORD_NOT_FOUND" ? { hits: [] } : Promise.reject(error))),
  ]);
  if (records.length === 0) throw new ApiError(`There is no record ${id}.`, { reason: "RECORD_NOT_FOUND" });
  return { collection, record: records[0], near: hits };
}

/** @param {{ app: import("../core/app.js").App, whole: Whole }} props */
function Fields({ app, whole: { collection, record } }) {
  const pictures = usePictures(app, collection, [record.recordId]);
  const { left, top, right, bottom } = record.region ?? { left: 0, top: 0, right: 1, bottom: 1 };
  return html`<div class="record">
    <div class="hit"><${Picture} hit=${record} url=${pictures.urls.get(record.recordId)} /><${Origin} collection=${collection} note=${pictures.note} /></div>
    <div>
      <dl class="facts">
        <dt>Product</dt><dd>${record.productId || "none"}</dd>
        <dt>Encoded</dt><dd>${record.region ? `the region ${[left, top, right, bottom].map((side) => Number(side.toFixed(3))).join(", ")}` : "the whole picture"}</dd>
        <dt>Created</dt><dd>${moment(record.createTime)}</dd>
        <dt>Changed</dt><dd>${moment(record.updateTime)} (write ${record.sequence})</dd>
        <dt>Fingerprint</dt><dd class="mono" title="Of the encoder and its preprocessing">${record.encoderFingerprint}</dd>
      </dl>
      <h3>Attributes</h3>
      ${Object.keys(record.attributes).length ? html`<${Attributes} attributes=${record.attributes} all />` : html`<p class="soft">none</p>`}
    </div>
  </div>`;
}
