// Records that look the same: groups as they are found, side by side, and deletion in two steps.
import { call, path, stream } from "../core/api.js";
import { html, submitTo, useEffect, useRef, useState, valueTo } from "../core/html.js";
import { isAborted, useAction, useCollection } from "../core/load.js";
import { changeQuery } from "../core/place.js";
import { usePictures } from "../core/pictures.js";
import { counted, enumText, sorted, valueText } from "../core/text.js";
import { Busy, Failure } from "../parts/failure.js";
import { Origin, Picture } from "../parts/hits.js";

/** @typedef {import("../../openapi").components["schemas"]} Schemas */
/** @typedef {{ ids: string[], kind: string, distance: number, records: Map<string, any> }} Group */

const AT_ONCE = 50; // groups that are shown before more are asked for
const MOST_SHOWN = 12; // records of a group

/** @param {import("../core/app.js").ScreenProps} props */
export function Duplicates({ app, params, query }) {
  const name = /** @type {string} */ (params.name);
  const [search, setSearch] = useState(/** @type {{ filter: string, distance: string, round: number } | undefined} */ (undefined));
  const { value: collection } = useCollection(name);
  const near = app.info.encoders.find((one) => one.id === collection?.encoderId)?.nearDuplicateDistance;
  const distance = query.distance ?? "";
  const begin = () => setSearch({ filter: query.filter ?? "", distance, round: (search?.round ?? 0) + 1 });
  return html`
    <form class="row" onSubmit=${submitTo(begin)}>
      <label>Only records with <input value=${query.filter ?? ""} placeholder='in_stock = true'
        onChange=${valueTo((filter) => changeQuery({ filter }))} /></label>
      <label>Largest distance: ${distance || `${near?.toFixed(3) ?? ""} (of the encoder)`}
        <input type="range" min="0" max="0.6" step="0.005" value=${distance || near || 0}
          onInput=${valueTo((distance) => changeQuery({ distance }))} /></label>
      <button type="submit" class="main">Find</button>
    </form>
    ${search && html`<${Groups} key=${JSON.stringify(search)} app=${app} name=${name} search=${search} collection=${collection} />`}`;
}

/** @param {{ app: import("../core/app.js").App, name: string, search: { filter: string, distance: string }, collection: Schemas["Collection"] | undefined }} props */
function Groups({ app, name, search, collection }) {
  const [groups, setGroups] = useState(/** @type {Group[]} */ ([]));
  const [state, setState] = useState(/** @type {{ ended: boolean, error?: Error }} */ ({ ended: false }));
  const [most, setMost] = useState(AT_ONCE);
  const [chosen, setChosen] = useState(/** @type {Set<string>} */ (new Set()));
  const reader = useRef(/** @type {AsyncGenerator<any> | undefined} */ (undefined));
  useEffect(() => {
    const ending = new AbortController();
    const given = { filter: search.filter, maxDistance: search.distance };
    reader.current = stream("GET", path("/v1/collections/{}:duplicates", name), { query: given, signal: ending.signal });
    return () => ending.abort();
  }, []);
  useEffect(() => {
    let wanted = true;
    const read = async () => {
      for (let made = groups.length; made < most && wanted; made += 1) {
        const { done, value } = await /** @type {AsyncGenerator<any>} */ (reader.current).next();
        if (done) return setState({ ended: true });
        const group = await withRecords(name, value);
        if (wanted) setGroups((before) => [...before, group]);
      }
    };
    read().catch((error) => wanted && !isAborted(error) && setState({ ended: true, error }));
    return () => {
      wanted = false;
    };
  }, [most]);
  const choose = (/** @type {string} */ id) => {
    const next = new Set(chosen);
    if (!next.delete(id)) next.add(id);
    setChosen(next);
  };
  /** Takes records out of a group, or out of all. */
  const gone = (/** @type {string[]} */ ids, /** @type {Group | undefined} */ of = undefined) => {
    if (!of) setChosen(new Set());
    const left = groups.map((group) => (of && group !== of ? group : { ...group, ids: group.ids.filter((id) => !ids.includes(id)) }));
    setGroups(left.filter((group) => group.ids.length > 1));
  };
  const more = !state.ended && groups.length >= most;
  return html`
    <${Busy} when=${!state.ended && !more}>Comparing records … ${counted(groups.length, "group")} so far<//>
    <${Failure} error=${state.error} />
    ${state.ended && !state.error && html`<p role="status">${groups.length ? counted(groups.length, "group") : "No two records look the same."}</p>`}
    ${app.can("delete") && html`<${Deletion} name=${name} ids=${[...chosen]} onDone=${gone} />`}
    ${groups.map((group, place) => html`<${Side} key=${group.ids[0]} told=${place === 0} app=${app} collection=${collection} name=${name} group=${group} chosen=${chosen} onChoose=${app.can("delete") && choose}
      judges=${app.can("insert")} onApart=${(/** @type {string} */ id) => gone([id], group)} />`)}
    ${more && html`<button type="button" onClick=${() => setMost(most + AT_ONCE)}>Show more groups</button>`}`;
}

/**
 * @param {string} name
 * @param {Schemas["FindDuplicatesResponse"]} found
 * @returns {Promise<Group>}
 */
async function withRecords(name, found) {
  const recordIds = found.recordIds.slice(0, MOST_SHOWN);
  const { records } = await call("POST", path("/v1/collections/{}/records:get", name), { body: { recordIds } });
  const byId = new Map(records.map((/** @type {any} */ one) => [one.recordId, one]));
  return { ids: found.recordIds, kind: enumText(found.kind, "DUPLICATE_KIND_"), distance: found.maxDistance, records: byId };
}

/**
 * @param {{ app: import("../core/app.js").App, collection: Schemas["Collection"] | undefined, name: string, group: Group, chosen: Set<string>, onChoose: ((id: string) => void) | false, judges: boolean,
 *   told: boolean, onApart: (id: string) => void }} props
 */
function Side({ app, collection, name, group, chosen, onChoose, judges, told, onApart }) {
  const [first = ""] = group.ids;
  const pictures = usePictures(app, collection, group.ids.slice(0, MOST_SHOWN));
  return html`${told && html`<${Origin} collection=${collection} note=${pictures.note} />`}<section class="card group" aria-label=${`Group of ${first}`}>
    <p class="row"><span class="badge">${group.kind}</span> ${counted(group.ids.length, "record")}, up to ${group.distance.toFixed(3)} apart</p>
    <div class="cards">${group.ids.slice(0, MOST_SHOWN).map((id) => {
      const record = group.records.get(id);
      return html`<article class="hit" key=${id}>
        <${Picture} hit=${record ?? { recordId: id, attributes: {} }} url=${pictures.urls.get(id)} />
        <h3>${id}</h3>
        ${record?.productId && html`<p>Product ${record.productId}</p>`}
        <dl class="facts">${sorted(record?.attributes).map(([key, value]) => html`<dt>${key}</dt><dd>${valueText(value)}</dd>`)}</dl>
        ${onChoose && html`<label class="check"><input type="checkbox" checked=${chosen.has(id)} onChange=${() => onChoose(id)} /> Delete ${id}</label>`}
        ${judges && id !== first && html`<${Verdict} name=${name} first=${first} id=${id} onApart=${onApart} />`}
      </article>`;
    })}</div>
    ${group.ids.length > MOST_SHOWN && html`<p class="soft">and ${counted(group.ids.length - MOST_SHOWN, "other")}</p>`}
  </section>`;
}

/** What a person says of a pair; searches for duplicates follow it. @param {{ name: string, first: string, id: string, onApart: (id: string) => void }} props */
function Verdict({ name, first, id, onApart }) {
  const [same, setSame] = useState(false);
  const judge = async (/** @type {string} */ verdict) => {
    const judgements = [{ recordId: first, otherRecordId: id, verdict: `PAIR_VERDICT_${verdict}` }];
    const { results } = await call("POST", path("/v1/collections/{}/judged-pairs:judge", name), { body: { judgements } });
    if (results[0].error) throw new Error(results[0].error.message);
    if (verdict === "DIFFERENT") onApart(id);
    else setSame(true);
  };
  const [part, parting, failure] = useAction(() => judge("DIFFERENT"));
  const [join, joining, error] = useAction(() => judge("SAME_PRODUCT"));
  return html`<p class="row"><button type="button" class="small" disabled=${parting} aria-label=${`Not a duplicate: ${id}`} onClick=${part}>Not a duplicate</button>
    ${same ? html`<span role="status">Same product</span>` : html`<button type="button" class="small" disabled=${joining} aria-label=${`Same product: ${id}`} onClick=${join}>Same product</button>`}</p>
    <${Failure} error=${failure ?? error} />`;
}

/** @param {{ name: string, ids: string[], onDone: (ids: string[]) => void }} props */
function Deletion({ name, ids, onDone }) {
  const [asked, setAsked] = useState(/** @type {string[]} */ ([]));
  const [would, setWould] = useState(0);
  const ask = (/** @type {boolean} */ force) =>
    call("POST", path("/v1/collections/{}/records:delete", name), { body: { recordIds: force ? asked : ids, force } });
  const [look, looking, failure] = useAction(async () => {
    setWould(Number((await ask(false)).recordCount));
    setAsked(ids);
  });
  const [remove, removing, error] = useAction(async () => {
    await ask(true);
    setAsked([]);
    onDone(asked);
  });
  if (!ids.length) return null;
  const sure = asked.join("\n") === ids.join("\n");
  return html`<div class="note sticky" role="group" aria-label="Deletion">
    ${sure
      ? html`<p>This deletes ${counted(would, "record")} for good: ${asked.join(", ")}</p>
        <button type="button" class="danger" disabled=${removing} onClick=${remove}>Delete ${counted(would, "record")}</button>
        <button type="button" onClick=${() => setAsked([])}>Keep them</button>`
      : html`<button type="button" disabled=${looking} onClick=${look}>Delete ${counted(ids.length, "selected record")} …</button>`}
    <${Failure} error=${failure ?? error} />
  </div>`;
}
