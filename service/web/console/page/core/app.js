// What every screen knows: the server, and what the key allows.
import { call } from "./api.js";

/** @typedef {import("../../openapi").components["schemas"]["GetServerInfoResponse"]} ServerInfo */

/**
 * @typedef {object} App
 * @property {ServerInfo} info
 * @property {(scope: string) => boolean} can whether the key has a scope, such as `search`
 */

/**
 * @typedef {object} ScreenProps
 * @property {App} app
 * @property {Record<string, string>} params the variables of the screen's path
 * @property {Record<string, string>} query the state of the screen, as it is in the URL
 */

/**
 * Asks the server what the key allows.
 * @param {string} [key] a key that is not signed in yet
 * @returns {Promise<App>}
 * @throws {import("./api.js").ApiError} if the key is not valid
 */
export async function openApp(key) {
  /** @type {ServerInfo} */
  const info = await call("GET", "/v1/server", key === undefined ? {} : { key });
  return { info, can: (scope) => info.scopes.includes(scope) };
}
