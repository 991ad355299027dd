// A field whose text counts once its user is done with it.
import { html, useEffect, useState, valueTo } from "../core/html.js";

/**
 * What is typed stays, whatever the screen shows anew meanwhile, until Enter is pressed or the field is left.
 * @param {{ value: string | number, onValue: (value: string) => void, [attribute: string]: any }} props
 */
export function Field({ value, onValue, ...attributes }) {
  const [text, setText] = useState(String(value));
  useEffect(() => setText(String(value)), [value]);
  const done = (/** @type {string} */ given) => {
    setText(String(value)); // unless it is taken, and `value` changes
    onValue(given);
  };
  return html`<input ...${attributes} value=${text} onInput=${valueTo(setText)} onChange=${valueTo(done)} />`;
}
