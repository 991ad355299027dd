// All collections of the tenant: what is in them, what is kept of pictures, and when they were last synchronised.
import { call, path } from "../core/api.js";
import { html, submitTo, useState, valueTo } from "../core/html.js";
import { useAction, useLoad } from "../core/load.js";
import { go, linkTo } from "../core/place.js";
import { age, count, counted, enumText, size } from "../core/text.js";
import { Busy, Failure } from "../parts/failure.js";

/** @typedef {import("../../openapi").components["schemas"]} Schemas */
/** @typedef {{ collections: Schemas["Collection"][], synced: Map<string, string>, recalls: Map<string, number> }} All */

const KEPT = {
  PICTURE_POLICY_DISCARD: ["discard", "Pictures are deleted as soon as they are encoded"],
  PICTURE_POLICY_REFERENCE: ["reference", "The URLs of pictures are kept, encrypted"],
  PICTURE_POLICY_ENCRYPTED_COPY: ["encrypted copy", "Encrypted copies of pictures are kept"],
};
const MOST_STATS = 20; // collections whose recall is asked for, one call each

/** @param {import("../core/app.js").ScreenProps} props */
export function Collections({ app }) {
  const { value, error, loading, reload } = useLoad((signal) => readAll(app, signal), []);
  return html`
    <${Busy} when=${loading} />
    <${Failure} error=${error} retry=${reload} />
    ${app.can("admin") && html`<${Usage} />`}
    <div class="cards">${value?.collections.map((one) => html`<${Card} one=${one} all=${value} key=${one.name} />`)}</div>
    ${value && value.collections.length === 0 && html`<p>There is no collection yet.</p>`}
    ${app.can("insert") && html`<${Creation} app=${app} />`}`;
}

/**
 * @param {import("../core/app.js").App} app
 * @param {AbortSignal} signal
 * @returns {Promise<All>}
 */
async function readAll(app, signal) {
  /** @type {Schemas["Collection"][]} */
  const collections = [];
  for (let token = ""; ; ) {
    const page = await call("GET", "/v1/collections", { query: { pageSize: 1000, pageToken: token }, signal });
    collections.push(...page.collections);
    token = page.nextPageToken;
    if (!token) break;
  }
  /** @type {Schemas["Source"][]} */
  const sources = app.can("sync") ? (await call("GET", "/v1/sources", { signal })).sources : [];
  const synced = new Map();
  for (const { collection, successTime } of sources) {
    if (successTime && successTime > (synced.get(collection) ?? "")) synced.set(collection, successTime);
    else if (!synced.has(collection)) synced.set(collection, "");
  }
  const measured = app.can("admin") ? collections.slice(0, MOST_STATS) : [];
  const stats = measured.map((one) => call("GET", path("/v1/collections/{}/index", one.name), { signal }));
  const recalls = (await Promise.all(stats)).map((one, place) => [measured[place]?.name, one.recall]);
  return { collections, synced, recalls: new Map(/** @type {[string, number][]} */ (recalls)) };
}

/** @param {{ one: Schemas["Collection"], all: All }} props */
function Card({ one, all }) {
  const [kept, title] = KEPT[/** @type {keyof KEPT} */ (one.picturePolicy)] ?? [enumText(one.picturePolicy, "PICTURE_POLICY_"), ""];
  const recall = all.recalls.get(one.name);
  return html`<article class="card">
    <h2><a href=${linkTo(["collections", one.name, "search"])}>${one.name}</a></h2>
    ${one.description && html`<p>${one.description}</p>`}
    <p class="badges"><span class="badge" title=${title}>${kept}</span>
      ${one.learned && html`<span class="badge" title="Hits are ordered by a similarity learned from this collection">learned</span>`}</p>
    <dl class="facts">
      <dt>Records</dt><dd>${count(one.recordCount)}</dd>
      <dt>Encoder</dt><dd>${one.encoderId}</dd>
      ${recall !== undefined && html`<dt>Recall</dt><dd>${recall.toFixed(3)}</dd>`}
      ${all.synced.has(one.name) && html`<dt>Last sync</dt><dd>${age(all.synced.get(one.name))}</dd>`}
      <dt>Last write</dt><dd>${age(one.indexTime)}</dd>
    </dl>
  </article>`;
}

function Usage() {
  const { value, error } = useLoad(
    (signal) => /** @type {Promise<Schemas["GetUsageResponse"]>} */ (call("GET", "/v1/usage", { signal })), [],
  );
  if (!value) return html`<${Failure} error=${error} />`;
  return html`<section class="usage" aria-label="Usage">
    <${Gauge} label="Records" used=${Number(value.recordCount)} most=${Number(value.maxRecords)} text=${count} />
    <${Gauge} label="Stored" used=${Number(value.storedBytes)} most=${Number(value.maxStoredBytes)} text=${size} />
    <${Gauge} label="Pictures today" used=${Number(value.picturesToday)} most=${Number(value.maxPicturesPerDay)} text=${count} />
  </section>`;
}

/** @param {{ label: string, used: number, most: number, text: (n: number) => string }} props */
function Gauge({ label, used, most, text }) {
  if (!most) return html`<p>${label}: ${text(used)} <span class="soft">(no limit)</span></p>`;
  return html`<label>${label}: ${text(used)} of ${text(most)} <meter min="0" max=${most} high=${0.9 * most} value=${used}></meter></label>`;
}

/** @param {{ app: import("../core/app.js").App }} props */
function Creation({ app }) {
  const [name, setName] = useState("");
  const [encoder, setEncoder] = useState("");
  const [create, busy, error] = useAction(async () => {
    await call("POST", "/v1/collections", { body: { name, encoderId: encoder } });
    go(["collections", name, "search"]);
  });
  return html`<details class="creation">
    <summary>New collection</summary>
    <form onSubmit=${submitTo(create)}>
      <label>Name <input required pattern="[a-z0-9][a-z0-9_\\-]{0,62}" value=${name} placeholder="shoes"
        title="Small letters, digits, - and _" onInput=${valueTo(setName)} /></label>
      <label>Encoder <select value=${encoder} onChange=${valueTo(setEncoder)}>
        ${app.info.encoders.map((one) => html`<option value=${one.isDefault ? "" : one.id}>${one.id}${one.isDefault ? " (default)" : ""}</option>`)}
      </select></label>
      <button type="submit" class="main" disabled=${busy}>Create</button>
    </form>
    <p class="soft">Records are inserted by the API, by <code>afterimage insert</code>, or by a sync. The encoder cannot be
      changed later. ${counted(app.info.encoders.length, "encoder")} can be used.</p>
    <${Failure} error=${error} />
  </details>`;
}
