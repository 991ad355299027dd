// What the service keeps, who may see it, and how that is proved: verified in this browser where it can be.
import { call, path } from "../core/api.js";
import { isReceiptSigned, verifyLog } from "../core/audit_chain.js";
import { filesTo, html, useState } from "../core/html.js";
import { useAction, useLoad } from "../core/load.js";
import { count, counted, enumText, moment, size } from "../core/text.js";
import { Busy, Failure } from "../parts/failure.js";

/** @typedef {import("../../openapi").components["schemas"]} Schemas */

const KEPT = {
  discard: "Nothing. A picture is encoded and forgotten; its vector and a keyed digest remain.",
  reference: "Its address, encrypted, beside vector and keyed digest.",
  "encrypted copy": "A copy under the tenant's own key, read only through links that end within an hour.",
};
const SHOWN = 30; // entries of the audit log

/** @param {import("../core/app.js").ScreenProps} props */
export function Trust({ app }) {
  return html`
    <section aria-labelledby="this-key"><h2 id="this-key">This key</h2>
      <p>Scopes: ${app.info.scopes.join(", ")}. Server ${app.info.version}.</p></section>
    ${app.can("admin") && html`<${Privacy} /><${Limits} /><${Access} />`}
    ${app.can("audit") && html`<${AuditLog} />`}
    <${Receipt} />
    ${!app.can("admin") && html`<p class="soft">A key with the scopes admin and audit shows more here.</p>`}`;
}

function Privacy() {
  const { value, error, loading } = useLoad(
    (signal) => /** @type {Promise<Schemas["GetPrivacyReportResponse"]>} */ (call("GET", "/v1/privacy", { signal })), [],
  );
  if (!value) return html`<${Busy} when=${loading} /><${Failure} error=${error} />`;
  const policies = value.collections.map((one) => ({ ...one, policy: enumText(one.picturePolicy, "PICTURE_POLICY_") }));
  return html`<section aria-labelledby="kept"><h2 id="kept">What is kept of a picture</h2>
      <div class="scroll" tabindex="0"><table><thead><tr><th>Collection</th><th>Of a picture</th><th class="number">Records</th><th class="number">Copies</th><th class="number">URLs</th><th class="number">Snapshots</th><th class="number">Judged pairs</th><th class="number">Feedback</th></tr></thead>
      <tbody>${policies.map((one) => html`<tr key=${one.collection}><td>${one.collection}</td>
        <td><span class="badge">${one.policy}</span> ${KEPT[/** @type {keyof typeof KEPT} */ (one.policy)]}</td><td class="number">${count(one.recordCount)}</td>
        <td class="number">${count(one.copyCount)}${Number(one.copyBytes) > 0 && ` (${size(one.copyBytes)})`}</td><td class="number">${count(one.urlCount)}</td><td class="number">${one.snapshotCount}</td>
        <td class="number">${count(one.judgedPairCount)}</td><td class="number">${count(one.feedbackCount)}</td></tr>`)}</tbody></table></div>
      <p>${counted(value.trainingPictureCount, "training picture")}, ${counted(value.modelCount, "own model")}. Region: ${value.region || "not set"}.
        Reads are ${value.readAuditMinutes ? `in the audit log every ${value.readAuditMinutes} minutes` : "not recorded"}.</p></section>
    <section aria-labelledby="protections"><h2 id="protections">Protections of this server</h2>
      <div class="scroll" tabindex="0"><table><thead><tr><th>Protection</th><th>State</th><th>Detail</th></tr></thead><tbody>${value.protections.map((one) => {
        const state = enumText(one.state, "PROTECTION_STATE_");
        return html`<tr><td>${one.name}</td><td class=${state === "ok" ? "good" : "warn"}>${state}</td><td>${one.detail}</td></tr>`;
      })}</tbody></table></div></section>`;
}

function Limits() {
  const { value, error } = useLoad(
    (signal) => /** @type {Promise<Schemas["GetUsageResponse"]>} */ (call("GET", "/v1/usage", { signal })), [],
  );
  if (!value) return html`<${Failure} error=${error} />`;
  /** @type {[string, string | number, string | number, (n: any) => string][]} */
  const rows = [
    ["Records", value.recordCount, value.maxRecords, count], ["Stored", value.storedBytes, value.maxStoredBytes, size],
    ["Collections", value.collectionCount, value.maxCollections, count], ["Pictures today", value.picturesToday, value.maxPicturesPerDay, count],
  ];
  const rate = (/** @type {number} */ number) => (number ? `${number} calls a second` : "no limit");
  return html`<section aria-labelledby="limits"><h2 id="limits">Usage and limits</h2><dl class="facts">
    ${rows.map(([name, used, most, text]) => html`<dt>${name}</dt><dd>${text(used)} of ${Number(most) ? text(most) : "no limit"}</dd>`)}
    <dt>Rate of the tenant</dt><dd>${rate(value.maxRequestsPerSecond)}</dd><dt>Rate of this key</dt><dd>${rate(value.keyMaxRequestsPerSecond)}</dd></dl></section>`;
}

function Access() {
  const { value, error, reload } = useLoad(
    (signal) => /** @type {Promise<Schemas["ListAccessRequestsResponse"]>} */ (call("GET", "/v1/access-requests", { signal })), [],
  );
  return html`<section aria-labelledby="access"><h2 id="access">Access of operators</h2>
    <${Failure} error=${error} />
    ${value?.requests.length === 0 && html`<p>Nobody has asked for access.</p>`}
    ${value?.requests.map((one) => html`<${Request} key=${one.requestId} one=${one} onAnswer=${reload} />`)}</section>`;
}

/** @param {{ one: Schemas["AccessRequest"], onAnswer: () => void }} props */
function Request({ one, onAnswer }) {
  const [verb, setVerb] = useState("");
  const [answer, busy, error] = useAction(async () => {
    await call("POST", path(`/v1/access-requests/{}:${verb}`, one.requestId), { body: {} });
    setVerb("");
    onAnswer();
  });
  const verbs = one.state === "pending" ? ["approve", "decline"] : one.state === "approved" ? ["revoke"] : [];
  return html`<article class="card"><p><strong>${one.reason}</strong><br />
      ${one.scopes.join(", ")} for ${one.minutes} minutes, asked ${moment(new Date(Number(one.requestedMs)).toISOString())}: <span class="badge">${one.state}</span>
      ${one.state === "approved" && ` until ${moment(new Date(Number(one.endsMs)).toISOString())}`}</p>
    <p class="row">${verb
      ? html`<button type="button" class="main" disabled=${busy} onClick=${answer}>Yes, ${verb}</button><button type="button" onClick=${() => setVerb("")}>No</button>`
      : verbs.map((name) => html`<button type="button" onClick=${() => setVerb(name)}>${name[0]?.toUpperCase()}${name.slice(1)} …</button>`)}</p>
    <${Failure} error=${error} /></article>`;
}

/** All entries, page by page. @param {(done: number) => void} onPage */
async function* allEntries(onPage) {
  for (let after = 0; ; ) {
    const { entries } = await call("GET", "/v1/audit/entries", { query: { pageSize: 1000, after } });
    yield* entries;
    after += entries.length;
    onPage(after);
    if (entries.length < 1000) return;
  }
}

function AuditLog() {
  const { value, error } = useLoad(async (signal) => {
    const { head } = await call("GET", "/v1/audit/head", { signal });
    const after = Math.max(0, Number(head.number) - SHOWN);
    return /** @type {Schemas["AuditEntry"][]} */ ((await call("GET", "/v1/audit/entries", { query: { pageSize: SHOWN, after }, signal })).entries);
  }, []);
  const [checked, setChecked] = useState(0);
  const [result, setResult] = useState(/** @type {Awaited<ReturnType<typeof verifyLog>> | undefined} */ (undefined));
  const [verify, verifying, failure] = useAction(async () => {
    setResult(undefined);
    if (!globalThis.crypto?.subtle) throw new Error("This browser verifies only over https or on this machine.");
    const { head, publicKey } = await call("GET", "/v1/audit/head");
    setResult(await verifyLog(allEntries(setChecked), head, publicKey));
  });
  const erasures = value?.filter((one) => one.action === "erasure") ?? [];
  return html`<section aria-labelledby="audit"><h2 id="audit">Audit log</h2>
    <p><button type="button" class="main" disabled=${verifying} onClick=${verify}>Verify in this browser</button></p>
    <${Busy} when=${verifying}>${counted(checked, "entry", "entries")} checked …<//>
    ${result && html`<div class=${result.problems.length ? "failure" : "note"} role="status">
      ${result.problems.length ? result.problems.slice(0, 20).map((text) => html`<p>${text}</p>`)
        : html`<p>All ${counted(result.count, "entry", "entries")} follow from one another. ${result.signature ? "The signature of the last one is valid." : "This browser cannot check the signature."}</p>`}</div>`}
    <${Failure} error=${error ?? failure} />
    <div class="scroll" tabindex="0"><table class="log"><thead><tr><th>Number</th><th>Time</th><th>Who</th><th>What</th><th>Details</th></tr></thead><tbody>
      ${[...(value ?? [])].reverse().map((one) => html`<tr key=${one.number}><td>${one.number}</td><td>${moment(new Date(Number(one.timeMs)).toISOString())}</td>
        <td class="mono">${one.actor}</td><td>${one.action}</td><td class="mono">${one.detailsJson}</td></tr>`)}</tbody></table></div>
    ${erasures.length > 0 && html`<p>${counted(erasures.length, "erasure")} among these; each has a receipt.</p>`}</section>`;
}

function Receipt() {
  const [said, setSaid] = useState("");
  const check = async (/** @type {File[]} */ [file]) => {
    if (!file) return;
    try {
      const receipt = JSON.parse(await file.text());
      const signed = await isReceiptSigned(receipt.receipt ?? receipt);
      setSaid(`${file.name}: ${signed ? "the receipt is signed by the key that it names." : signed === false ? "the signature does not fit: the receipt was changed, or is none." : "this browser cannot check signatures."}`);
    } catch {
      setSaid(`${file.name} is not a receipt.`);
    }
  };
  return html`<section aria-labelledby="receipts"><h2 id="receipts">Receipts of erasures</h2>
    <label>Verify a receipt; the file is not sent anywhere <input type="file" accept=".json,.receipt,application/json" onChange=${filesTo(check)} /></label>
    <p role="status">${said}</p></section>`;
}
