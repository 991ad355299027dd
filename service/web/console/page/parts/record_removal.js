// Deletes a record in two steps, or erases it with a receipt.
import { call, path } from "../core/api.js";
import { html, useEffect, useRef, useState } from "../core/html.js";
import { useAction } from "../core/load.js";
import { Failure } from "./failure.js";

/** @typedef {import("../../openapi").components["schemas"]} Schemas */

/** @param {{ name: string, record: Schemas["Record"], onGone: (words: string) => void }} props */
export function Removal({ name, record, onGone }) {
  const [asked, setAsked] = useState(/** @type {"" | "delete" | "erase"} */ (""));
  const [receipt, setReceipt] = useState(/** @type {Schemas["ErasureReceipt"] | undefined} */ (undefined));
  const [gone, setGone] = useState(false);
  const confirm = useRef(/** @type {HTMLButtonElement | null} */ (null));
  useEffect(() => confirm.current?.focus(), [asked]);
  const [run, busy, error] = useAction(async () => {
    const recordIds = [record.recordId];
    if (asked === "delete") {
      await call("POST", path("/v1/collections/{}/records:delete", name), { body: { recordIds, force: true } });
      onGone("The record is deleted.");
    } else {
      /** @type {Schemas["EraseRecordsResponse"]} */
      const erased = await call("POST", path("/v1/collections/{}/records:erase", name), { body: { recordIds } });
      setReceipt(erased.receipt);
      onGone("The record is erased: from the store, its log, the memory, the index and all snapshots.");
    }
    setGone(true);
    setAsked("");
  });
  if (gone) return receipt ? html`<${Receipt} receipt=${receipt} />` : null;
  return html`<details><summary>Delete or erase</summary>
    <p>Delete removes the record from all results at once. Erase also removes what is left of it from disk before it
      returns, and gives a signed receipt. A sync whose feed still contains the record brings it back.</p>
    ${!asked && html`<p class="row"><button type="button" class="danger" onClick=${() => setAsked("delete")}>Delete …</button>
      <button type="button" class="danger" onClick=${() => setAsked("erase")}>Erase with receipt …</button></p>`}
    ${asked && html`<div role="group" aria-label="Confirm"><p>${asked === "delete" ? "Delete" : "Erase"} record <strong>${record.recordId}</strong>? This cannot be undone.</p>
      <p class="row"><button type="button" ref=${confirm} class="danger" disabled=${busy} onClick=${run}>Yes, ${asked} it</button>
        <button type="button" onClick=${() => setAsked("")}>Keep it</button></p></div>`}
    <${Failure} error=${error} />
  </details>`;
}

/** A receipt to keep: as a file, exactly as the API gave it. @param {{ receipt: Schemas["ErasureReceipt"] }} props */
export function Receipt({ receipt }) {
  const text = JSON.stringify(receipt, null, 2);
  const save = () => {
    const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    Object.assign(document.createElement("a"), { href: url, download: `receipt-${receipt.receiptId}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  };
  return html`<section aria-label="Receipt"><h2>Receipt ${receipt.receiptId}</h2>
    <p>${receipt.records} erased, ${new Date(Number(receipt.timeMs)).toLocaleString()}. Whoever has it can check its signature
      with <code>afterimage erase verify</code>.</p>
    <button type="button" class="main" onClick=${save}>Download the receipt</button><pre tabindex="0">${text}</pre></section>`;
}
