// Records as a grid: the picture or what stands for it, how alike it is in words, attributes, and what to do next.
import { filesTo, html, useState } from "../core/html.js";
import { linkTo } from "../core/place.js";
import { useFolder, usePictures } from "../core/pictures.js";
import { likenessWords, sorted, valueText } from "../core/text.js";

/** @typedef {import("../../openapi").components["schemas"]} Schemas */
/** @typedef {{ recordId: string, productId: string, attributes: Record<string, any>, score?: number, distance?: number, likeness?: string | undefined }} Shown */
/** @typedef {{ words: string, run: (recordId: string) => void }} Action */

const MOST_ATTRIBUTES = 5;

/** @param {{ app: import("../core/app.js").App, collection: Schemas["Collection"] | undefined, hits: Shown[], actions?: Action[], only?: Set<string> }} props */
export function Hits({ app, collection, hits, actions = [], only }) {
  const pictures = usePictures(app, collection, hits.map((hit) => hit.recordId));
  const name = collection?.name ?? "";
  return html`
    ${hits.length > 0 && html`<${Origin} collection=${collection} note=${pictures.note} />`}
    <ol class="hits">${hits.map((hit) => html`<li key=${hit.recordId} class=${only?.has(hit.recordId) ? "hit only" : "hit"}>
      <${Picture} hit=${hit} url=${pictures.urls.get(hit.recordId)} />
      <p class="id"><a href=${linkTo(["collections", name, "records", hit.recordId])}>${hit.recordId}</a>
        ${hit.productId && html` <span class="soft">${hit.productId}</span>`}</p>
      ${hit.score !== undefined && html`<p><meter min="0" max="1" value=${hit.score} aria-label="Score ${hit.score.toFixed(2)}"></meter> ${likenessWords(hit.likeness)}
        <br /><span class="soft">score ${hit.score.toFixed(2)}, distance ${hit.distance?.toFixed(3)}</span></p>`}
      <${Attributes} attributes=${hit.attributes} />
      ${actions.length > 0 && html`<p class="actions">${actions.map((one) => html`<button type="button" class="small"
        aria-label="${one.words} ${hit.recordId}" onClick=${() => one.run(hit.recordId)}>${one.words}</button>`)}</p>`}
    </li>`)}</ol>`;
}

/** Where pictures are from. @param {{ collection: Schemas["Collection"] | undefined, note: string }} props */
export const Origin = ({ collection, note }) => html`<p class="soft">${note}${" "}
  ${collection?.picturePolicy === "PICTURE_POLICY_DISCARD" && html`<label class="button small">Choose a folder
    <input type="file" class="hidden" multiple webkitdirectory onChange=${filesTo((files) => useFolder(collection.name, files))} /></label>`}</p>`;

/** @param {{ hit: Shown, url: string | undefined }} props */
export function Picture({ hit, url }) {
  const [failed, setFailed] = useState("");
  if (url && failed !== url) {
    return html`<img src=${url} alt="Picture of ${hit.recordId}" loading="lazy" referrerpolicy="no-referrer" onError=${() => setFailed(url)} />`;
  }
  const colours = Object.values(hit.attributes).flat().filter((value) => typeof value === "string" && CSS.supports("color", value)).slice(0, 3);
  return html`<div class="placeholder" aria-hidden="true">
    ${colours.map((colour) => html`<span class="swatch" style=${{ background: colour }}></span>`)}
    <span>${failed ? "The picture cannot be loaded" : hit.productId || hit.recordId}</span></div>`;
}

/** @param {{ attributes: Record<string, any>, all?: boolean }} props */
export function Attributes({ attributes, all }) {
  const entries = sorted(attributes);
  const shown = all ? entries : entries.slice(0, MOST_ATTRIBUTES);
  if (entries.length === 0) return null;
  return html`<dl class="facts">${shown.map(([name, value]) => html`<dt>${name}</dt><dd>${valueText(value)}</dd>`)}</dl>
    ${shown.length < entries.length && html`<p class="soft">and ${entries.length - shown.length} more</p>`}`;
}
