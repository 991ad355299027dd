// The library of the page, in one place: elements are written as html`<p>…</p>`, and text in them is always text.
import { h } from "../../vendor/preact.js";
import htm from "../../vendor/htm.js";

export { Fragment, render } from "../../vendor/preact.js";
export { useCallback, useEffect, useErrorBoundary, useMemo, useRef, useState } from "../../vendor/hooks.js";

/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
export const html = htm.bind(h);

/** Handles an event of a field with what is in it: its text, or whether it is checked. @param {(value: any) => void} use */
export const valueTo = (use) => (/** @type {any} */ { target }) => use(target.type === "checkbox" ? target.checked : target.value);

/** Handles a choice of files, also of the same ones again. @param {(files: File[]) => void} use */
export const filesTo = (use) => (/** @type {any} */ { target }) => {
  const files = [...target.files];
  target.value = ""; // else choosing the same files would be no change
  use(files);
};

/** Handles the submission of a form, whose fields no browser sends. @param {() => void} run */
export const submitTo = (run) => (/** @type {Event} */ event) => {
  event.preventDefault();
  run();
};
