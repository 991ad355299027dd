// Catalogue syncs: sources, a preview of a new feed, runs as they go, plans and their approval, failures.
import { call, path, stream } from "../core/api.js";
import { html, submitTo, useEffect, useState, valueTo } from "../core/html.js";
import { isAborted, useAction, useLoad } from "../core/load.js";
import { go, linkTo } from "../core/place.js";
import { age, count, counted, moment } from "../core/text.js";
import { Busy, Failure } from "../parts/failure.js";
import { Plan } from "../parts/plan.js";
import { NewSource } from "../parts/new_source.js";

/** @typedef {import("../../openapi").components["schemas"]} Schemas */

const ENDED = ["succeeded", "succeeded_with_errors", "planned", "failed", "blocked", "cancelled", "superseded"];
const ATTENTION = ["failed", "blocked", "awaiting_approval", "succeeded_with_errors"];

/** @param {import("../core/app.js").ScreenProps} props */
export function Syncs({ app }) {
  const { value, error, loading, reload } = useLoad((signal) => call("GET", "/v1/sources", { signal }), []);
  const runs = useLoad(async (signal) => /** @type {Schemas["Run"][]} */ ((await call("GET", "/v1/runs", { query: { pageSize: 200 }, signal })).runs), []);
  const sources = /** @type {Schemas["Source"][]} */ (value?.sources ?? []);
  const last = (/** @type {Schemas["Source"]} */ source) => runs.value?.find((run) => run.sourceId === source.sourceId);
  return html`
    <${Busy} when=${loading} />
    <${Failure} error=${error ?? runs.error} retry=${reload} />
    ${value && (sources.length
      ? html`<div class="scroll" tabindex="0"><table><thead><tr><th>Source</th><th>Collection</th><th>Schedule</th><th>Last run</th><th>Last success</th></tr></thead>
          <tbody>${sources.map((one) => html`<tr key=${one.name}><td><a href=${linkTo(["syncs", one.name])}>${one.name}</a></td>
            <td>${one.collection}</td><td>${scheduleText(one)}</td><td><${State} state=${last(one)?.state ?? ""} /></td><td>${age(one.successTime)}</td></tr>`)}</tbody></table></div>`
      : html`<p>There is no source yet.</p>`)}
    <${NewSource} app=${app} onMade=${(/** @type {string} */ name) => go(["syncs", name])} />`;
}

/** @param {Schemas["Source"]} source */
const scheduleText = (source) => (source.paused ? "paused" : source.cron ? `${source.cron} ${source.timeZone || "UTC"}` : "on demand");

/** @param {import("../core/app.js").ScreenProps} props */
export function SourceRuns({ params, query }) {
  const name = /** @type {string} */ (params.source);
  const source = useLoad(async (signal) => /** @type {Schemas["Source"]} */ ((await call("GET", path("/v1/sources/{}", name), { signal })).source), [name]);
  const runs = useLoad(async (signal) => /** @type {Schemas["Run"][]} */ ((await call("GET", "/v1/runs", { query: { source: name, pageSize: 20 }, signal })).runs), [name]);
  const show = (/** @type {string} */ run) => {
    go(["syncs", name], { run });
    runs.reload();
  };
  const begin = async (/** @type {boolean} */ dryRun) =>
    show((await call("POST", path("/v1/sources/{}/runs", name), { body: { dryRun } })).run.runId);
  const [start, starting, error] = useAction(() => begin(false));
  const [plan, planning, failure] = useAction(() => begin(true));
  const [pause, , refusal] = useAction(async () => {
    await call("PUT", path("/v1/sources/{}", name), { body: { ...source.value, paused: !source.value?.paused } });
    source.reload();
  });
  const shown = query.run ?? runs.value?.[0]?.runId;
  return html`
    <p><a href=${linkTo(["syncs"])}>All sources</a></p>
    <h2>${name}</h2>
    <${Failure} error=${source.error ?? runs.error ?? error ?? failure ?? refusal} />
    ${source.value && html`<p>Fills <a href=${linkTo(["collections", source.value.collection, "search"])}>${source.value.collection}</a> from
      <span class="mono"> ${source.value.url}</span>, ${scheduleText(source.value)}.</p>`}
    <p class="row">
      <button type="button" class="main" disabled=${starting || planning} onClick=${start}>Sync now</button>
      <button type="button" disabled=${starting || planning} onClick=${plan}>Only plan</button>
      ${source.value?.cron && html`<button type="button" onClick=${pause}>${source.value.paused ? "Resume the schedule" : "Pause the schedule"}</button>`}
    </p>
    ${shown && html`<${LiveRun} key=${shown} id=${shown} onChange=${runs.reload} />`}
    <h2>Runs</h2>
    <${Busy} when=${runs.loading} />
    ${runs.value && html`<div class="scroll" tabindex="0"><table><thead><tr><th>Begun</th><th>State</th><th class="number">Created</th><th class="number">Updated</th>
      <th class="number">Deleted</th><th class="number">Failed</th></tr></thead><tbody>${runs.value.map((one) => html`<tr key=${one.runId}>
        <td><a href=${linkTo(["syncs", name], { run: one.runId })} title=${moment(one.createTime)}>${age(one.createTime)}</a></td><td><${State} state=${one.state} /></td>
        <td class="number">${count(one.createdCount)}</td><td class="number">${count(one.updatedCount)}</td>
        <td class="number">${count(one.deletedCount)}</td><td class="number">${count(one.failedCount)}</td></tr>`)}</tbody></table></div>`}
    <${Failures} name=${name} runs=${JSON.stringify(runs.value)} onRun=${show} />
    ${source.value && html`<${Access} source=${source.value} onDone=${source.reload} />`}`;
}

/** @param {{ state: string }} props */
const State = ({ state }) => html`<span class=${ATTENTION.includes(state) ? "warn" : ""}>${state.replaceAll("_", " ")}</span>`;

/** @param {{ id: string, onChange: () => void }} props */
function LiveRun({ id, onChange }) {
  const [run, setRun] = useState(/** @type {Schemas["Run"] | undefined} */ (undefined));
  const [error, setError] = useState(/** @type {Error | undefined} */ (undefined));
  const [round, setRound] = useState(0);
  useEffect(() => {
    const ending = new AbortController();
    setError(undefined);
    const watch = async () => {
      for await (const message of stream("GET", path("/v1/runs/{}:watch", id), { signal: ending.signal })) setRun(message.run);
      onChange();
    };
    watch().catch((failure) => ending.signal.aborted || isAborted(failure) || setError(failure));
    return () => ending.abort();
  }, [round]);
  const act = async (/** @type {string} */ verb, /** @type {object} */ body = {}) => {
    await call("POST", path(`/v1/runs/{}:${verb}`, id), { body });
    setRound((number) => number + 1);
  };
  const [undone, setUndone] = useState("");
  const [approve, approving, refusal] = useAction(() => act("approve", { planDigest: run?.plan?.digest }));
  const [cancel, cancelling, failure] = useAction(() => act("cancel"));
  const [undo, undoing, late] = useAction(async () => {
    setUndone((await call("POST", path("/v1/runs/{}:undo", id), { body: {} })).recordCount);
    onChange();
  });
  const again = html`<${Failure} error=${error} retry=${() => setRound(round + 1)} />`;
  if (!run) return html`<${Busy} when=${!error} />${again}`;
  const { progress } = run;
  const total = Number(progress?.totalCount ?? 0);
  return html`<section class="card" aria-label="Run">
    <h3>${run.dryRun ? "Plan" : "Run"} of ${moment(run.createTime)}: <span role="status"><${State} state=${run.state} /></span></h3>
    ${run.message && html`<p>${run.message} <span class="soft">${run.reason}</span></p>`}
    ${progress && !ENDED.includes(run.state) && html`<p>${counted(progress.itemsRead, "item")} read, ${count(progress.doneCount)} of ${count(total)} done
      ${total > 0 && html` <progress max=${total} value=${Number(progress.doneCount)} aria-label="Progress"></progress>`}
      ${progress.remainingSeconds > 0 && `about ${Math.ceil(progress.remainingSeconds)} s left`}</p>`}
    ${run.plan && html`<${Plan} plan=${run.plan} />`}
    <p class="row">
      ${run.state === "awaiting_approval" && html`<button type="button" class="main" disabled=${approving} onClick=${approve}>Approve this plan</button>`}
      ${!ENDED.includes(run.state) && html`<button type="button" class="danger" disabled=${cancelling} onClick=${cancel}>Cancel</button>`}
      ${ENDED.includes(run.state) && Number(run.deletedCount) > 0 && html`<button type="button" disabled=${undoing} onClick=${undo}>Undo the deletions</button>`}
    </p>
    ${undone && html`<p role="status">Restored ${counted(undone, "record")}.</p>`}
    ${run.notes.map((note) => html`<p class="soft">${counted(note.pictureCount, "picture")}: ${note.message}</p>`)}
    <${Failure} error=${refusal ?? failure ?? late} />
    ${again}
  </section>`;
}

/** Where the feed is, and what it is asked for with. @param {{ source: Schemas["Source"], onDone: () => void }} props */
function Access({ source, onDone }) {
  const [url, setUrl] = useState(source.url);
  const [authorization, setAuthorization] = useState("");
  const [done, setDone] = useState("");
  const [save, saving, error] = useAction(async () => {
    await call("PUT", path("/v1/sources/{}", source.name), { body: { ...source, url, authorization } });
    setAuthorization("");
    setDone("Saved.");
    onDone();
  });
  return html`<details><summary>Change the address or the authorization</summary><form onSubmit=${submitTo(save)}>
    <label>Address of the feed <input required value=${url} onInput=${valueTo(setUrl)} /></label>
    <label>Authorization header <input type="password" autocomplete="off" value=${authorization} onInput=${valueTo(setAuthorization)}
      placeholder=${source.hasAuthorization ? "as it is, unless the host changes" : "none"} /></label>
    <button type="submit" disabled=${saving}>Save</button> <span role="status">${done}</span></form><${Failure} error=${error} /></details>`;
}

/** @param {{ name: string, runs: string, onRun: (run: string) => void }} props */
function Failures({ name, runs, onRun }) {
  const { value, error } = useLoad((signal) => call("GET", path("/v1/sources/{}/failures", name), { query: { pageSize: 100 }, signal }), [name, runs]);
  const [retry, retrying, refusal] = useAction(async () =>
    onRun((await call("POST", path("/v1/sources/{}/failures:retry", name), { body: {} })).run.runId),
  );
  const failures = /** @type {Schemas["Failure"][]} */ (value?.failures ?? []);
  if (!failures.length) return html`<${Failure} error=${error} />`;
  return html`<h2>Failures</h2>
    <div class="scroll" tabindex="0"><table><thead><tr><th>Record</th><th>Reason</th><th>Line</th><th>Tries</th></tr></thead><tbody>${failures.map((one) => html`<tr key=${one.recordId}>
      <td>${one.recordId}</td><td>${one.message} <span class="soft">${one.reason}${one.lasting ? ", permanent" : ""}</span></td><td>${one.line}</td><td>${one.tries}</td></tr>`)}</tbody></table></div>
    ${value.nextPageToken && html`<p class="soft">There are more.</p>`}
    <button type="button" disabled=${retrying} onClick=${retry}>Try all again</button>
    <${Failure} error=${refusal} />`;
}
