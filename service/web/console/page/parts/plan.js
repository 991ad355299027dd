// What a sync would change: counts, the limits that it exceeds, and samples.
import { html } from "../core/html.js";
import { count } from "../core/text.js";

/** @typedef {import("../../openapi").components["schemas"]["Plan"]} PlanOfRun */
/** @type {[string, keyof PlanOfRun][]} */
const ROWS = [
  ["items in the feed", "itemCount"], ["create", "createCount"], ["new picture", "updatePictureCount"],
  ["picture to check", "checkPictureCount"], ["new attributes", "updateAttributesCount"], ["delete", "deleteCount"],
  ["unchanged", "unchangedCount"], ["missing and kept", "keptCount"], ["unusable items", "problemCount"],
  ["repeated items", "duplicateCount"], ["failed before", "failedBeforeCount"],
];

/** @param {{ plan: PlanOfRun }} props */
export function Plan({ plan }) {
  const shown = ROWS.filter(([, field]) => Number(plan[field]) > 0);
  return html`
    ${plan.concerns.map((text) => html`<p class="note">${text}</p>`)}
    <dl class="facts">${shown.map(([text, field]) => html`<dt>${text}</dt><dd>${count(/** @type {string} */ (plan[field]))}</dd>`)}
      ${plan.digest && html`<dt>digest</dt><dd class="mono">${plan.digest.slice(0, 16)}</dd>`}</dl>
    ${(plan.samples.length > 0 || plan.problems.length > 0) && html`<details><summary>Samples</summary>
      <ul>${plan.samples.map((one) => html`<li>${one.action.replaceAll("_", " ")} ${one.recordId}${Number(one.line) > 0 && `, line ${one.line}`}</li>`)}
        ${plan.problems.map((one) => html`<li class="warn">line ${one.line}${one.itemId && ` (${one.itemId})`}: ${one.message}</li>`)}</ul></details>`}`;
}
