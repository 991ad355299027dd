// How good the searches in a collection were, by day: what people look for in vain. Counts alone.
import { call, path } from "../core/api.js";
import { html, valueTo } from "../core/html.js";
import { useAction, useLoad } from "../core/load.js";
import { changeQuery } from "../core/place.js";
import { count } from "../core/text.js";
import { Busy, Failure } from "../parts/failure.js";

/** @typedef {import("../../openapi").components["schemas"]["GetSearchReportResponse"]} Report */

const DAYS = ["7", "30", "90"];
const WEAK = 10; // of 20 counts: scores below 0.5

/** @param {import("../core/app.js").ScreenProps} props */
export function WeakResults({ params, query }) {
  const target = path("/v1/collections/{}/search-report", /** @type {string} */ (params.name));
  const { days = "30" } = query;
  const { value, error, loading, reload } = useLoad(
    (signal) => /** @type {Promise<Report>} */ (call("GET", target, { query: { days }, signal })), [target, days],
  );
  const [toggle, busy, refusal] = useAction(async () => {
    await call("PUT", target, { body: { enabled: !value?.enabled } });
    reload();
  });
  return html`
    <label>Days <select value=${days} onChange=${valueTo((days) => changeQuery({ days }))}>
      ${DAYS.map((one) => html`<option value=${one}>${one}</option>`)}</select></label>
    <${Busy} when=${loading} /><${Failure} error=${error ?? refusal} />
    ${value && html`
      ${value.days.length === 0 && html`<p role="status">${value.enabled ? "No search in these days." : "Searches are not counted."}</p>`}
      ${value.days.length > 0 && html`<div class="scroll" tabindex="0"><table><thead><tr><th>Day</th><th class="number">Searches</th><th class="number">Without a hit</th>
        <th class="number">Best below 0.5</th><th>Weak or none</th></tr></thead><tbody>${[...value.days].reverse().map((day) => {
          const weak = day.bestScoreCounts.slice(0, WEAK).reduce((sum, one) => sum + Number(one), 0);
          const share = (weak + Number(day.withoutHitCount)) / Number(day.searchCount);
          return html`<tr key=${day.date}><td>${day.date}</td><td class="number">${count(day.searchCount)}</td><td class="number">${count(day.withoutHitCount)}</td>
            <td class="number">${count(weak)}</td><td><meter min="0" max="1" value=${share} aria-label=${`Weak or none on ${day.date}`}></meter> ${Math.round(share * 100)} %</td></tr>`;
        })}</tbody></table></div>`}
      <p class="soft">Only these counts are kept, for 90 days: no query, no picture, no key. Many weak results say that people look for what is not there.</p>
      <button type="button" class=${value.enabled ? "danger" : ""} disabled=${busy} onClick=${toggle}>${value.enabled ? "Stop counting and delete the counts" : "Count searches"}</button>`}`;
}
