// Records on a plane, similar ones near each other, coloured by an attribute. The server computes the places.
import { call, path } from "../core/api.js";
import { html, useEffect, useRef, valueTo } from "../core/html.js";
import { useLoad } from "../core/load.js";
import { changeQuery } from "../core/place.js";
import { count, likenessWords, valueText } from "../core/text.js";
import { Busy, Failure } from "../parts/failure.js";
import { Field } from "../parts/field.js";

/** @typedef {import("../../openapi").components["schemas"]["ProjectedRecord"]} Point */

const COUNTS = ["250", "1000", "2500", "5000"];
const COLOURS = ["#3b74d8", "#c8780a", "#1d8f5a", "#c63d4f", "#8357c9", "#0f8ea3", "#8a6d1f", "#c2489b"];
const OTHER = "#8a8f99";
const SIDE = 640;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** @param {import("../core/app.js").ScreenProps} props */
export function RecordMap({ params, query }) {
  const name = /** @type {string} */ (params.name);
  const { count: wanted = "1000", filter, attribute, seed = "1" } = query;
  const { value, error, loading, reload } = useLoad(
    (signal) =>
      call("GET", path("/v1/collections/{}/records:project", name), { query: { count: wanted, filter, attribute, seed }, signal }),
    [name, wanted, filter, attribute, seed],
  );
  const points = /** @type {Point[]} */ (value?.records ?? []);
  const chosen = points.find((one) => one.recordId === query.record);
  const choose = (/** @type {string} */ record) => changeQuery({ record });
  const legend = legendOf(points);
  /** @param {string} field */
  const set = (field) => (/** @type {string} */ value) => changeQuery({ [field]: value });
  return html`
    <div class="row">
      <label>Records <select value=${wanted} onChange=${valueTo(set("count"))}>${COUNTS.map((one) => html`<option value=${one}>${count(one)}</option>`)}</select></label>
      <label>Colour by attribute <${Field} value=${attribute ?? ""} placeholder="color" onValue=${set("attribute")} /></label>
      <label>Only records with <${Field} value=${filter ?? ""} placeholder="price < 50" onValue=${set("filter")} /></label>
      <button type="button" onClick=${() => changeQuery({ seed: String(Number(seed) + 1) })}>Draw others</button>
    </div>
    <${Busy} when=${loading}>Computing the map … up to some seconds<//>
    <${Failure} error=${error} retry=${reload} />
    ${value && html`
      <p role="status">${count(points.length)} of ${count(value.allowedCount)} records. Of the 10 nearest of each, ${Math.round(value.keptNeighbors * 100)} % are its
        nearest here, too. Only nearness has a meaning.</p>
      ${value.filterHints.map((/** @type {string} */ hint) => html`<p class="note">${hint}</p>`)}
      <div class="map">
        <${Canvas} points=${points} chosen=${chosen} legend=${legend} onChoose=${choose} />
        <div>
          <ul class="legend" aria-label="Colours">${legend.rows.map(([text, colour]) => html`<li><span class="dot" style=${{ background: colour }}></span>${text}</li>`)}</ul>
          <label>Record <select size="8" value=${chosen?.recordId ?? ""} onChange=${valueTo(choose)}>
            ${points.map((one) => html`<option value=${one.recordId}>${one.recordId}${valued(one) && ` · ${valued(one)}`}</option>`)}
          </select></label>
          ${chosen && html`<${Neighbours} key=${chosen.recordId} name=${name} record=${chosen.recordId} onChoose=${choose} />`}
        </div>
      </div>`}`;
}

/** @param {Point} point */
const valued = (point) => (point.value === undefined ? "" : valueText(point.value));

/**
 * The colour of each point, and what the colours mean: the most frequent values, or a scale of numbers.
 * @param {Point[]} points
 * @returns {{ colour: (point: Point) => string, rows: [string, string][] }}
 */
function legendOf(points) {
  const values = points.map((one) => /** @type {unknown} */ (one.value)).filter((one) => one !== undefined);
  if (values.length && values.every((one) => typeof one === "number")) {
    const numbers = /** @type {number[]} */ (values);
    const low = numbers.reduce((one, other) => Math.min(one, other));
    const high = numbers.reduce((one, other) => Math.max(one, other));
    const shade = (/** @type {number} */ number) => `hsl(${240 - (240 * (number - low)) / (high - low || 1)} 70% 50%)`;
    const rows = [low, (low + high) / 2, high].map((number) => /** @type {[string, string]} */ ([String(Number(number.toPrecision(4))), shade(number)]));
    return { colour: (point) => (point.value === undefined ? OTHER : shade(Number(point.value))), rows };
  }
  /** @type {Map<string, number>} */
  const counts = new Map();
  for (const point of points) if (valued(point)) counts.set(valued(point), (counts.get(valued(point)) ?? 0) + 1);
  const common = [...counts].sort(([, one], [, other]) => other - one).slice(0, COLOURS.length).map(([text]) => text);
  const colours = new Map(common.map((text, place) => [text, /** @type {string} */ (COLOURS[place])]));
  /** @type {[string, string][]} */
  const rows = [...colours];
  if (rows.length) rows.push(["other or none", OTHER]);
  return { colour: (point) => colours.get(valued(point)) ?? (rows.length ? OTHER : /** @type {string} */ (COLOURS[0])), rows };
}

/** @param {{ points: Point[], chosen: Point | undefined, legend: ReturnType<typeof legendOf>, onChoose: (id: string) => void }} props */
function Canvas({ points, chosen, legend, onChoose }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const place = (/** @type {number} */ number) => (0.5 + 0.48 * number) * SIDE;
  useEffect(() => {
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.current?.getContext("2d"));
    pen.clearRect(0, 0, SIDE, SIDE);
    const radius = points.length > 2000 ? 2 : 3.5;
    for (const point of points) {
      pen.fillStyle = legend.colour(point);
      pen.beginPath();
      pen.arc(place(point.x), place(point.y), radius, 0, 7);
      pen.fill();
    }
    if (!chosen) return;
    pen.strokeStyle = getComputedStyle(/** @type {HTMLCanvasElement} */ (canvas.current)).color;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(place(chosen.x), place(chosen.y), radius + 5, 0, 7);
    pen.stroke();
  }, [points, chosen, legend]);
  /** The point with the least cost. @param {(point: Point) => number} cost */
  const pick = (cost) => {
    const best = points.reduce((one, other) => (cost(other) < cost(one) ? other : one), /** @type {Point} */ (points[0]));
    if (best && cost(best) < Infinity) onChoose(best.recordId);
  };
  const click = (/** @type {any} */ event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width - 0.5) / 0.48;
    const y = ((event.clientY - box.top) / box.height - 0.5) / 0.48;
    pick((point) => Math.hypot(point.x - x, point.y - y));
  };
  const step = (/** @type {any} */ event) => {
    const [right, down] = ARROWS[/** @type {keyof typeof ARROWS} */ (event.key)] ?? [];
    if (right === undefined || down === undefined) return;
    event.preventDefault();
    const from = chosen ?? { x: 0, y: 0 };
    pick((point) => {
      const ahead = (point.x - from.x) * right + (point.y - from.y) * down;
      const aside = Math.abs((point.x - from.x) * down) + Math.abs((point.y - from.y) * right);
      return ahead > 1e-6 ? ahead + 2 * aside : Infinity;
    });
  };
  return html`<canvas ref=${canvas} width=${SIDE} height=${SIDE} tabindex="0" role="application" onClick=${click} onKeyDown=${step}
    aria-label="Map of records. Arrow keys go to the next record; the list beside it has all records."></canvas>`;
}

/** @param {{ name: string, record: string, onChoose: (id: string) => void }} props */
function Neighbours({ name, record, onChoose }) {
  const { value, error, loading } = useLoad(
    (signal) => call("POST", path("/v1/collections/{}:search", name), { body: { query: [{ recordId: record }], k: 8 }, signal }), [],
  );
  return html`<section aria-label="Nearest records"><h2>Nearest to ${record}</h2>
    <${Busy} when=${loading} /><${Failure} error=${error} />
    <ol>${value?.hits.map((/** @type {any} */ hit) => html`<li><button type="button" class="plain" onClick=${() => onChoose(hit.recordId)}>${hit.recordId}</button>
      <span class="soft"> ${likenessWords(hit.likeness)}, distance ${hit.distance.toFixed(3)}</span></li>`)}</ol>
  </section>`;
}
