// Begins: takes a key from the address or the storage of the tab, else asks for one, then shows the screens.
import { openApp } from "./core/app.js";
import { html, render, useEffect, useState } from "./core/html.js";
import { currentKey, onSignOut, signOut, takeKeyOfAddress } from "./core/session.js";
import { Busy, Failure } from "./parts/failure.js";
import { Login } from "./parts/login.js";
import { Shell } from "./parts/shell.js";

/** A file that is dropped anywhere but on a field for files would be opened in place of the page. @param {any} event */
function keepPage(event) {
  if (event.target.type !== "file" && event.dataTransfer?.types.includes("Files")) event.preventDefault();
}

function Console() {
  const [app, setApp] = useState(/** @type {import("./core/app.js").App | undefined} */ (undefined));
  const [message, setMessage] = useState("");
  const [failure, setFailure] = useState(/** @type {Error | undefined} */ (undefined));
  useEffect(
    () =>
      onSignOut((reason) => {
        setApp(undefined);
        setFailure(undefined);
        setMessage(reason);
      }),
    [],
  );
  const open = () => {
    setFailure(undefined);
    if (currentKey()) openApp().then(setApp, setFailure);
  };
  useEffect(open, []);
  if (app) return html`<${Shell} app=${app} />`;
  if (currentKey()) {
    return html`<main class="login"><h1>Afterimage</h1><${Busy} when=${!failure}>Checking the key …<//><${Failure} error=${failure} retry=${open} />
      ${failure && html`<button type="button" class="plain" onClick=${() => signOut()}>Sign out</button>`}</main>`;
  }
  return html`<${Login} message=${message} onOpen=${setApp} />`;
}

takeKeyOfAddress();
for (const kind of ["dragover", "drop"]) addEventListener(kind, keepPage);
addEventListener("hashchange", () => takeKeyOfAddress() && location.reload()); // the link was opened in this tab
render(html`<${Console} />`, /** @type {HTMLElement} */ (document.getElementById("console")));
