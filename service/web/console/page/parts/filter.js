// The filter of a search or a list: as text, and built from the attributes that the records have.
import { OPERATORS, both, condition } from "../core/attributes.js";
import { html, submitTo, useEffect, useState, valueTo } from "../core/html.js";
import { counted } from "../core/text.js";

/** @typedef {import("../core/attributes.js").Attribute} Attribute */
/** @typedef {{ value: string, attributes: Attribute[] | undefined, hints?: string[], onChange: (filter: string) => void }} Props */

/** @param {Props} props */
export function Filter({ value, attributes = [], hints = [], onChange }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const submit = submitTo(() => onChange(text.trim()));
  return html`<fieldset class="filter">
    <legend>Filter</legend>
    <form onSubmit=${submit} class="row">
      <label class="wide">Only records that match
        <input class="mono" value=${text} spellcheck=${false} placeholder='color = "red" AND price < 50'
          onInput=${valueTo(setText)} onChange=${submit} /></label>
      <button type="submit">Apply</button>
      ${value && html`<button type="button" onClick=${() => onChange("")}>Clear</button>`}
    </form>
    ${hints.map((hint) => html`<p class="note">${hint}</p>`)}
    ${attributes.length > 0 && html`<${Builder} attributes=${attributes} onAdd=${(/** @type {string} */ more) => onChange(both(text, more))} />`}
  </fieldset>`;
}

/** @param {{ attributes: Attribute[], onAdd: (condition: string) => void }} props */
function Builder({ attributes, onAdd }) {
  const [name, setName] = useState("");
  const [operator, setOperator] = useState("");
  const [value, setValue] = useState("");
  const chosen = attributes.find((one) => one.name === name) ?? /** @type {Attribute} */ (attributes[0]);
  const operators = OPERATORS[chosen.kind];
  const current = operators.some(([sign]) => sign === operator) ? operator : /** @type {any} */ (operators[0])[0];
  const add = () => {
    onAdd(condition(chosen.name, chosen.kind, current, chosen.kind === "yes/no" ? value || "true" : value));
    setValue("");
  };
  const typed = valueTo(setValue);
  return html`<form onSubmit=${submitTo(add)} class="row" aria-label="Add a condition">
    <label>Attribute <select value=${chosen.name} onChange=${valueTo(setName)}>
      ${attributes.map((one) => html`<option value=${one.name}>${one.name}</option>`)}</select></label>
    <label>Comparison <select value=${current} onChange=${valueTo(setOperator)}>
      ${operators.map(([sign, words]) => html`<option value=${sign}>${words}</option>`)}</select></label>
    ${current !== ":*" && html`<label>Value ${
      chosen.kind === "yes/no"
        ? html`<select value=${value || "true"} onChange=${typed}><option value="true">true</option><option value="false">false</option></select>`
        : html`<input required value=${value} onInput=${typed} list="values" inputmode=${chosen.kind === "number" ? "decimal" : undefined}
            type=${chosen.kind === "number" ? "number" : "text"} step="any" autocomplete="off" />`
    }</label>`}
    ${chosen.kind !== "number" && html`<datalist id="values">${chosen.values.map((one) => html`<option value=${one.label}>${one.count}</option>`)}</datalist>`}
    <button type="submit">Add</button>
  </form>`;
}

/** Values with their counts; a click adds the condition. @param {{ value: string, attributes: Attribute[], onChange: (filter: string) => void }} props */
export function Facets({ value, attributes, onChange }) {
  return html`<section class="facets" aria-label="Facets">
    ${attributes.filter((one) => one.values.length > 0).map((one) => html`<details open=${one.values.length < 8} key=${one.name}>
      <summary>${one.name}</summary>
      <ul>${one.values.map((entry) => html`<li key=${entry.label}>
        <button type="button" class="plain" aria-label="${one.name} ${entry.label}, ${counted(entry.count, "record")}" disabled=${entry.count === 0}
          onClick=${() => onChange(both(value, entry.condition))}>${entry.label}</button> <span class="soft">${entry.count}</span></li>`)}</ul>
    </details>`)}
  </section>`;
}
