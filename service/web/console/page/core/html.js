// The library of the page, in one place: elements are written as html`<p>…</p>`, and text in them is always text.
import { h } from "../../vendor/preact.js";
import htm from "../../vendor/htm.js";

export { Fragment, render } from "../../vendor/preact.js";
export { useCallback, useEffect, useMemo, useRef, useState } from "../../vendor/hooks.js";

/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
export const html = htm.bind(h);
