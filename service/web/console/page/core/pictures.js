// Where the pictures of records come from. The service gives none away that it does not keep: under DISCARD they can be
// those of a folder of the viewer's own, which are shown by blob: URLs and never sent.
import { call, path } from "./api.js";
import { useEffect, useState } from "./html.js";

/** @typedef {import("../../openapi").components["schemas"]} Schemas */
/**
 * @typedef {object} Pictures
 * @property {Map<string, string>} urls by record id
 * @property {string} note where they come from, or why there are none
 */

const ALLOWED = (document.querySelector('meta[name="picture-hosts"]')?.getAttribute("content") ?? "").toLowerCase().split(" ").filter(Boolean);

/** Files of folders by what may be a record id; by collection. @type {Map<string, Map<string, File>>} */
const folders = new Map();
/** @type {Set<(round: number) => void>} */
const watchers = new Set();
let round = 0;

/**
 * Uses the files of a folder for a collection, until the page is closed.
 * @param {string} collection
 * @param {Iterable<File>} files
 */
export function useFolder(collection, files) {
  const known = new Map();
  for (const file of files) {
    const inside = file.webkitRelativePath.split("/").slice(1).join("/") || file.name;
    for (const name of [inside, file.name]) {
      known.set(name, file);
      known.set(name.replace(/\.[^./]+$/, ""), file);
    }
  }
  folders.set(collection, known);
  round += 1;
  for (const watcher of watchers) watcher(round);
}

/**
 * The pictures of records, as far as they can be shown.
 * @param {import("./app.js").App} app
 * @param {Schemas["Collection"] | undefined} collection
 * @param {string[]} recordIds
 * @returns {Pictures}
 */
export function usePictures(app, collection, recordIds) {
  const [chosen, setChosen] = useState(round);
  useEffect(() => {
    watchers.add(setChosen);
    return () => void watchers.delete(setChosen);
  }, []);
  const [found, setFound] = useState(/** @type {Pictures} */ ({ urls: new Map(), note: "" }));
  useEffect(() => {
    if (!collection) return undefined;
    const ending = new AbortController();
    /** @type {string[]} */
    const made = [];
    if (collection.picturePolicy === "PICTURE_POLICY_DISCARD") setFound(ofFolder(collection.name, recordIds, made));
    else {
      linked(app, collection, recordIds, ending.signal).then(
        (pictures) => ending.signal.aborted || setFound(pictures),
        (error) => ending.signal.aborted || setFound({ urls: new Map(), note: `Pictures cannot be shown: ${error.message}` }),
      );
    }
    return () => {
      ending.abort();
      for (const url of made) URL.revokeObjectURL(url);
    };
  }, [collection?.name, collection?.picturePolicy, recordIds.join("\n"), chosen]);
  return found;
}

/** @param {string} collection @param {string[]} recordIds @param {string[]} made receives URLs to revoke @returns {Pictures} */
function ofFolder(collection, recordIds, made) {
  const folder = folders.get(collection);
  if (!folder) {
    return { urls: new Map(), note: "This collection keeps no picture. To see pictures here, choose a folder of your own; its files are not sent." };
  }
  const urls = new Map();
  for (const id of recordIds) {
    const file = folder.get(id);
    if (file) made.push(urls.set(id, URL.createObjectURL(file)).get(id));
  }
  return { urls, note: `This collection keeps no picture. ${urls.size} of ${recordIds.length} are from your folder, which is not sent.` };
}

/**
 * @param {import("./app.js").App} app
 * @param {Schemas["Collection"]} collection
 * @param {string[]} recordIds
 * @param {AbortSignal} signal
 * @returns {Promise<Pictures>}
 */
async function linked(app, collection, recordIds, signal) {
  const isCopy = collection.picturePolicy === "PICTURE_POLICY_ENCRYPTED_COPY";
  const kept = isCopy ? "This collection keeps encrypted copies." : "This collection keeps the URLs of pictures.";
  if (!app.can("pictures")) return { urls: new Map(), note: `${kept} Showing them needs a key with the scope pictures.` };
  const target = path("/v1/collections/{}/records:picture-links", collection.name);
  /** @type {Schemas["GetPictureLinksResponse"]} */
  const response = recordIds.length ? await call("POST", target, { body: { recordIds }, signal }) : { links: [], policy: collection.picturePolicy };
  const given = response.links.filter((link) => link.url);
  if (isCopy) {
    const local = given.map((link) => /** @type {[string, string]} */ ([link.recordId, new URL(link.url).pathname.slice(1)]));
    return { urls: new Map(local), note: `${kept} Links to them are valid for ten minutes, and the audit log has an entry for these.` };
  }
  const shown = given.filter((link) => isAllowed(new URL(link.url)));
  const others = new Set(given.filter((link) => !shown.includes(link)).map((link) => new URL(link.url).host));
  const note = [
    others.size && `Pictures of ${[...others].slice(0, 3).join(", ")} are not shown: the server's setting console_picture_hosts does not name that host.`,
    shown.length && "Your browser loads them from the shop's own host, which learns your address.",
    !given.length && "These records have none.",
  ].filter(Boolean).join(" ");
  return { urls: new Map(shown.map((link) => [link.recordId, link.url])), note: `${kept} ${note}` };
}

/** Whether the policy of this page allows a picture. @param {URL} url */
function isAllowed(url) {
  return ALLOWED.some((origin) => {
    const [scheme, host = ""] = origin.split("://");
    const [name = "", port = url.protocol === "https:" ? "443" : "80"] = host.split(":");
    const actual = url.port || (url.protocol === "https:" ? "443" : "80");
    const named = name.startsWith("*.") ? url.hostname.endsWith(name.slice(1)) : url.hostname === name;
    return named && url.protocol === `${scheme}:` && (port === "*" || port === actual);
  });
}
