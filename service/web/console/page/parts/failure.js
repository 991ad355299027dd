// What went wrong, and what can be done.
import { ApiError } from "../core/api.js";
import { html } from "../core/html.js";

/** @param {{ error?: Error | undefined, retry?: () => void }} props */
export function Failure({ error, retry }) {
  if (!error) return null;
  const known = error instanceof ApiError ? error : undefined;
  const facts = [known?.reason, known?.requestId && `request ${known.requestId}`].filter(Boolean).join(" · ");
  return html`<div class="failure" role="alert">
    <p>${error.message}</p>
    ${facts && html`<p class="soft">${facts}</p>`}
    ${retry && html`<button type="button" onClick=${retry}>Try again</button>`}
  </div>`;
}

/** A line that says that something is on its way. @param {{ when: boolean, children?: any }} props */
export const Busy = ({ when, children }) =>
  html`<p class="busy soft" role="status">${when ? (children ?? "Loading …") : ""}</p>`;
