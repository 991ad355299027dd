// The frame around all screens: the bar, the tabs of a collection, and the screen of the current place.
import { html, useEffect, useErrorBoundary, useRef } from "../core/html.js";
import { linkTo, usePlace } from "../core/place.js";
import { signOut } from "../core/session.js";
import { Failure } from "../parts/failure.js";
import { SCREENS, findScreen } from "../routes.js";

/** @param {{ app: import("../core/app.js").App }} props */
export function Shell({ app }) {
  const place = usePlace();
  const path = place.path.length ? place.path : ["collections"];
  const found = findScreen(path);
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  const name = found?.params.name ?? "";
  const title = [name, found?.screen.title ?? "Not found"].filter(Boolean).join(" · ");
  const [defect, restore] = useErrorBoundary();
  useEffect(() => {
    document.title = `${title} · Afterimage`;
  }, [title]);
  useEffect(() => {
    heading.current?.focus({ preventScroll: true }); // where a screen reader goes on after a change of the screen
    scrollTo(0, 0);
    restore();
  }, [path.join("/")]);
  const allowed = !found || !found.screen.scope || app.can(found.screen.scope);
  return html`
    <a class="skip" href="#content" onClick=${skip}>Skip to the content</a>
    <header class="bar">
      <a class="brand" href=${linkTo(["collections"])}>Afterimage</a>
      <nav aria-label="Main">${links(app, "bar", "", path)}</nav>
      <button type="button" class="plain" onClick=${() => signOut()}>Sign out</button>
    </header>
    <main id="content" tabindex="-1">
      <h1 ref=${heading} tabindex="-1">${name || found?.screen.title || "Not found"}</h1>
      ${name && html`<nav class="tabs" aria-label="Collection ${name}">${links(app, "tab", name, path)}</nav>`}
      ${!found && html`<p>There is no such page. <a href=${linkTo(["collections"])}>Show all collections</a></p>`}
      ${!allowed && html`<p>This key lacks the scope <code>${found?.screen.scope}</code>, which this page needs.</p>`}
      ${defect && html`<${Failure} error=${new Error(`This page cannot show what the server answered: ${defect.message}`)} retry=${restore} />`}
      ${found && allowed && !defect &&
      html`<${found.screen.view} key=${path.join("/")} app=${app} params=${found.params} query=${place.query} />`}
    </main>`;
}

/**
 * @param {import("../core/app.js").App} app
 * @param {"bar" | "tab"} shown
 * @param {string} name of the collection
 * @param {string[]} path
 */
function links(app, shown, name, path) {
  const screens = SCREENS.filter((one) => one.shown === shown && (!one.scope || app.can(one.scope)));
  return screens.map((one) => {
    const target = one.path.split("/").map((part) => (part === ":name" ? name : part));
    const current = shown === "bar" ? path[0] === target[0] : path.slice(0, target.length).join("/") === target.join("/");
    return html`<a href=${linkTo(target)} aria-current=${current ? "page" : undefined}>${one.title}</a>`;
  });
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault(); // the fragment is the place
  document.getElementById("content")?.focus();
}
