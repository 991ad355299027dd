// Begins: takes a key from the address or the storage of the tab, else asks for one, then shows the screens.
import { openApp } from "./core/app.js";
import { html, render, useEffect, useState } from "./core/html.js";
import { currentKey, onSignOut, takeKeyOfAddress } from "./core/session.js";
import { Login } from "./parts/login.js";
import { Shell } from "./parts/shell.js";

function Console() {
  const [app, setApp] = useState(/** @type {import("./core/app.js").App | undefined} */ (undefined));
  const [message, setMessage] = useState("");
  const [opening, setOpening] = useState(currentKey() !== "");
  useEffect(
    () =>
      onSignOut((reason) => {
        setApp(undefined);
        setMessage(reason);
      }),
    [],
  );
  useEffect(() => {
    if (!opening) return;
    openApp()
      .then(setApp, (error) => setMessage(error.message))
      .finally(() => setOpening(false));
  }, []);
  if (app) return html`<${Shell} app=${app} />`;
  if (opening) return html`<main class="login"><h1>Afterimage</h1><p role="status">Checking the key …</p></main>`;
  return html`<${Login} message=${message} onOpen=${setApp} />`;
}

takeKeyOfAddress();
addEventListener("hashchange", () => takeKeyOfAddress() && location.reload()); // the link was opened in this tab
render(html`<${Console} />`, /** @type {HTMLElement} */ (document.getElementById("console")));
