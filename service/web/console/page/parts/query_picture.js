// The picture of a search: dropped, pasted, chosen or taken, and the region of it that counts.
import { filesTo, html, useEffect, useMemo, useRef, useState } from "../core/html.js";
import { Camera } from "./camera.js";
import { Field } from "./field.js";

/** @typedef {{ left: number, top: number, right: number, bottom: number }} Region in fractions of the picture */
/**
 * @typedef {object} Props
 * @property {Blob | undefined} picture
 * @property {Region | undefined} region
 * @property {Region | undefined} used the region that the server searched with
 * @property {(picture: Blob | undefined) => void} onPicture
 * @property {(region: Region | undefined) => void} onRegion
 */

const SIDES = /** @type {(keyof Region)[]} */ (["left", "top", "right", "bottom"]);
/** On the whole page: what misses the box would otherwise replace the page. @type {("paste" | "dragover" | "dragleave" | "drop")[]} */
const GIVEN = ["paste", "dragover", "dragleave", "drop"];
const LEAST = 0.02; // a smaller rectangle is a click

/** @param {Props} props */
export function QueryPicture({ picture, region, used, onPicture, onRegion }) {
  const [camera, setCamera] = useState(false);
  const [over, setOver] = useState(false);
  const take = (/** @type {File[]} */ files) => {
    const file = files.find((one) => one.type.startsWith("image/")) ?? files[0];
    if (file) onPicture(file);
  };
  useEffect(() => {
    const given = (/** @type {ClipboardEvent | DragEvent} */ event) => {
      const data = event instanceof DragEvent ? event.dataTransfer : event.clipboardData;
      if (!data?.types.includes("Files")) return; // text goes to the field that it is given to
      event.preventDefault();
      setOver(event.type === "dragover");
      take([...data.files]);
    };
    for (const kind of GIVEN) addEventListener(kind, given);
    return () => GIVEN.forEach((kind) => removeEventListener(kind, given));
  }, [onPicture]);
  return html`<div class=${over ? "query over" : "query"}>
    ${picture && html`<${Canvas} picture=${picture} region=${region} used=${used} onRegion=${onRegion} />`}
    <p class="row">
      <label class="button">${picture ? "Another picture" : "Choose a picture"}
        <input type="file" class="hidden" accept="image/*" onChange=${filesTo(take)} /></label>
      ${navigator.mediaDevices && html`<button type="button" onClick=${() => setCamera(true)}>Camera</button>`}
      ${picture && html`<button type="button" onClick=${() => onPicture(undefined)}>Remove</button>`}
    </p>
    <p class="soft">${picture ? "Draw a rectangle on the picture to search with that part alone." : "Or drop one here, or paste one. It is encoded and forgotten."}</p>
    ${camera && html`<${Camera} onEnd=${(/** @type {Blob | undefined} */ taken) => {
      setCamera(false);
      if (taken) onPicture(taken);
    }} />`}
  </div>`;
}

/** @param {{ picture: Blob, region: Region | undefined, used: Region | undefined, onRegion: (region: Region | undefined) => void }} props */
function Canvas({ picture, region, used, onRegion }) {
  const url = useMemo(() => URL.createObjectURL(picture), [picture]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  const [broken, setBroken] = useState("");
  const [drawn, setDrawn] = useState(/** @type {Region | undefined} */ (undefined));
  const start = useRef(/** @type {[number, number] | undefined} */ (undefined));
  const point = (/** @type {any} */ event) => {
    const box = event.currentTarget.getBoundingClientRect();
    return /** @type {[number, number]} */ ([fraction((event.clientX - box.left) / box.width), fraction((event.clientY - box.top) / box.height)]);
  };
  const draw = (/** @type {any} */ event) => {
    if (event.type === "pointerdown" && event.button === 0) {
      event.preventDefault();
      event.currentTarget.setPointerCapture(event.pointerId);
      start.current = point(event);
    }
    if (!start.current) return;
    const made = between(start.current, point(event));
    if (event.type !== "pointerup") return void setDrawn(made);
    start.current = undefined;
    setDrawn(undefined);
    onRegion(made.right - made.left > LEAST && made.bottom - made.top > LEAST ? made : undefined);
  };
  const cancel = () => {
    start.current = undefined;
    setDrawn(undefined);
  };
  return html`
    <div class="canvas" onPointerDown=${draw} onPointerMove=${draw} onPointerUp=${draw} onPointerCancel=${cancel}>
      <img src=${url} alt="The picture to search with" draggable=${false} onError=${() => setBroken(url)} />
      <${Box} region=${drawn ?? region} kind="drawn" />
      ${used && !drawn && !isWhole(used) && html`<${Box} region=${used} kind="used" />`}
    </div>
    ${broken === url && html`<p class="note">This browser cannot show the picture. The search may still work.</p>`}
    <${Sides} region=${region} onRegion=${onRegion} />
    ${used && html`<p class="soft">Searched with ${isWhole(used) ? "the whole picture" : `the region ${SIDES.map((side) => percent(used[side])).join(", ")} (dashed)`}.</p>`}`;
}

/** @param {{ region: Region | undefined, kind: string }} props */
const Box = ({ region, kind }) =>
  region &&
  html`<div class="box ${kind}" data-region=${SIDES.map((side) => region[side].toFixed(3)).join(" ")} style=${{
    left: percent(region.left), top: percent(region.top),
    width: percent(region.right - region.left), height: percent(region.bottom - region.top),
  }}></div>`;

/** The region in numbers, for whoever has no pointer. @param {{ region: Region | undefined, onRegion: (region: Region | undefined) => void }} props */
function Sides({ region, onRegion }) {
  const current = region ?? { left: 0, top: 0, right: 1, bottom: 1 };
  const change = (/** @type {keyof Region} */ side, /** @type {string} */ value) => {
    const made = { ...current, [side]: fraction(Number(value) / 100) };
    if (made.left < made.right && made.top < made.bottom) onRegion(isWhole(made) ? undefined : made);
  };
  return html`<details><summary>Region in numbers</summary>
    <div class="row">${SIDES.map((side) => html`<label>${side} %
      <${Field} type="number" min="0" max="100" value=${Math.round(current[side] * 100)} onValue=${(/** @type {string} */ value) => change(side, value)} /></label>`)}
      ${region && html`<button type="button" onClick=${() => onRegion(undefined)}>Whole picture</button>`}</div></details>`;
}

/** @param {number} number */
const fraction = (number) => Math.min(1, Math.max(0, Number(number.toFixed(4))));
/** @param {number} number */
const percent = (number) => `${Number((100 * number).toFixed(1))}%`;
/** @param {Region} region */
const isWhole = (region) => region.left <= 0 && region.top <= 0 && region.right >= 1 && region.bottom >= 1;
/** @param {[number, number]} one @param {[number, number]} other @returns {Region} */
const between = ([x, y], [toX, toY]) => ({
  left: Math.min(x, toX), top: Math.min(y, toY), right: Math.max(x, toX), bottom: Math.max(y, toY),
});
