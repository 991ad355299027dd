// Asks for an API key. It is sent to this server alone, as the header of each call.
import { openApp } from "../core/app.js";
import { html, submitTo, useEffect, useRef, useState, valueTo } from "../core/html.js";
import { keepKey } from "../core/session.js";
import { useAction } from "../core/load.js";
import { Busy, Failure } from "./failure.js";

/** @param {{ message: string, onOpen: (app: import("../core/app.js").App) => void }} props */
export function Login({ message, onOpen }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const [key, setKey] = useState("");
  const [keep, setKeep] = useState(false);
  const [open, busy, error] = useAction(async () => {
    const app = await openApp(key.trim());
    keepKey(key.trim(), keep);
    onOpen(app);
  });
  useEffect(() => field.current?.focus(), []);
  return html`<main class="login">
    <h1>Afterimage</h1>
    ${message && html`<p class="failure" role="alert">${message}</p>`}
    <form onSubmit=${submitTo(open)}>
      <label>API key
        <input ref=${field} type="password" name="key" autocomplete="off" spellcheck=${false} required value=${key}
          onInput=${valueTo(setKey)} />
      </label>
      <label class="check"><input type="checkbox" checked=${keep}
        onChange=${valueTo(setKeep)} /> Keep it until this tab is closed</label>
      <button type="submit" class="main" disabled=${busy}>Open</button>
    </form>
    <${Busy} when=${busy}>Checking the key …<//>
    <${Failure} error=${error} />
    <p class="soft">The key stays in the memory of this page. It is no cookie, and no other page can use it. A key with
      the scope <code>search</code> is enough to search and browse. An operator makes one
      with <code>afterimage keys create</code>.</p>
  </main>`;
}
