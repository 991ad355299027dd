// What can be changed of a collection: its description, learning, truncated pictures, what is kept, and its end.
import { call, path } from "../core/api.js";
import { html, submitTo, useState, valueTo } from "../core/html.js";
import { useAction, useCollection } from "../core/load.js";
import { go } from "../core/place.js";
import { counted, enumText } from "../core/text.js";
import { Busy, Failure } from "../parts/failure.js";

/** @typedef {import("../../openapi").components["schemas"]} Schemas */
/** @typedef {{ collection: Schemas["Collection"], onDone: () => void }} Props */

const POLICIES = ["DISCARD", "REFERENCE", "ENCRYPTED_COPY"].map((name) => `PICTURE_POLICY_${name}`);

/** @param {import("../core/app.js").ScreenProps} props */
export function Settings({ app, params }) {
  const name = /** @type {string} */ (params.name);
  const { value, error, loading, reload } = useCollection(name);
  const props = { collection: value, onDone: reload };
  return html`<${Busy} when=${loading} /><${Failure} error=${error} retry=${reload} />
    ${value && app.can("insert") && html`<${General} ...${props} />`}
    ${value && app.can("admin") && html`<${Policy} ...${props} />`}
    ${value && app.can("delete") && html`<${Deletion} ...${props} />`}`;
}

/** @param {Props} props */
function General({ collection, onDone }) {
  const [description, setDescription] = useState(collection.description);
  const [off, setOff] = useState(collection.learning === "LEARNING_OFF");
  const [partial, setPartial] = useState(collection.partial);
  const [done, setDone] = useState("");
  const [save, busy, error] = useAction(async () => {
    const body = { description, learning: off ? "LEARNING_OFF" : "LEARNING_AUTO", partial };
    await call("PATCH", path("/v1/collections/{}", collection.name), { body });
    setDone("Saved.");
    onDone();
  });
  return html`<form onSubmit=${submitTo(save)}><h2>General</h2>
    <label>Description <input value=${description} onInput=${valueTo(setDescription)} /></label>
    <label class="check"><input type="checkbox" checked=${!off} onChange=${valueTo((value) => setOff(!value))} /> Learn from its own vectors, if that helps</label>
    <label class="check"><input type="checkbox" checked=${partial} onChange=${valueTo(setPartial)} /> Accept truncated pictures</label>
    <p><button type="submit" class="main" disabled=${busy}>Save</button> <span role="status">${done}</span></p><${Failure} error=${error} /></form>`;
}

/** What is kept of pictures. What would be deleted is said first. @param {Props} props */
function Policy({ collection, onDone }) {
  const [policy, setPolicy] = useState(/** @type {string} */ (collection.picturePolicy));
  const [asked, setAsked] = useState(/** @type {Schemas["SetPicturePolicyResponse"] | undefined} */ (undefined));
  const [change, busy, error] = useAction(async () => {
    const target = path("/v1/collections/{}/picture-policy", collection.name);
    /** @type {Schemas["SetPicturePolicyResponse"]} */
    const found = await call("PUT", target, { body: { policy, force: asked !== undefined } });
    setAsked(found.changed ? undefined : found);
    if (found.changed) onDone();
  });
  return html`<section><h2>What is kept of pictures</h2>
    <p>Now: ${enumText(collection.picturePolicy, "PICTURE_POLICY_")}.</p>
    <label>Policy <select value=${policy} onChange=${valueTo((value) => {
      setPolicy(value);
      setAsked(undefined);
    })}>${POLICIES.map((one) => html`<option value=${one}>${enumText(one, "PICTURE_POLICY_")}</option>`)}</select></label>
    ${asked && html`<p class="note" role="status">${counted(asked.copyCount, "copy", "copies")} and ${counted(asked.urlCount, "URL")} would be deleted.</p>`}
    <button type="button" class=${asked ? "danger" : ""} disabled=${busy || policy === collection.picturePolicy} onClick=${change}>${asked ? "Change it and delete them" : "Change …"}</button>
    <${Failure} error=${error} /></section>`;
}

/** @param {Props} props */
function Deletion({ collection }) {
  const [asked, setAsked] = useState(/** @type {Schemas["DeleteCollectionResponse"] | undefined} */ (undefined));
  const [run, busy, error] = useAction(async () => {
    const found = await call("DELETE", path("/v1/collections/{}", collection.name), { query: { force: asked !== undefined } });
    if (found.deleted) go(["collections"]);
    else setAsked(found);
  });
  return html`<section><h2>Delete the collection</h2>
    ${asked && html`<p class="note" role="status">${counted(asked.recordCount, "record")} would be deleted; ${counted(asked.snapshotCount, "kept snapshot")} would stay.</p>`}
    <button type="button" class="danger" disabled=${busy} onClick=${run}>${asked ? `Yes, delete ${collection.name}` : "Delete …"}</button>
    <${Failure} error=${error} /></section>`;
}
