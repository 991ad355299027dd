// A search as the URL has it, as the API wants it, and as somebody would write it in a terminal or a program.
import { call, path } from "./api.js";

/** @typedef {import("../../openapi").components["schemas"]} Schemas */
/** @typedef {"recordId" | "color" | "text"} Kind of what a term is like: a record, a colour such as #d02030, words */
/** @typedef {{ kind: Kind, value: string, weight: number }} SearchTerm */
/**
 * @typedef {object} Search
 * @property {SearchTerm[]} terms what to be like, or unlike with a negative weight
 * @property {number} k
 * @property {string} filter
 * @property {boolean} group by product
 * @property {number} diversity 0 to 1
 * @property {number[]} weights of the encoder's blocks; all 1: as the encoder has them
 * @property {import("../parts/query_picture.js").Region | undefined} region of the picture
 * @property {string} compare another collection to search in too; empty: none
 */

/** Where the URL has the terms of each kind. @type {[Kind, string][]} */
const PLACES = [["recordId", "terms"], ["color", "colors"], ["text", "texts"]];

/**
 * @param {Record<string, string>} query of the place
 * @param {string[]} blocks of the encoder's vector
 * @returns {Search}
 */
export function readSearch(query, blocks) {
  const numbers = (query.region ?? "").split(",").map(Number);
  const [left = 0, top = 0, right = 0, bottom = 0] = numbers;
  const weights = (query.weights ?? "").split(",").map(Number);
  const valid = weights.length === blocks.length && weights.every((one) => one >= 0 && one <= 100);
  return {
    terms: PLACES.flatMap(([kind, place]) => readTerms(kind, query[place] ?? "")),
    k: Math.min(100, Math.max(1, Math.floor(Number(query.k)) || 24)),
    filter: query.filter ?? "",
    group: query.group === "true",
    diversity: Math.min(1, Math.max(0, Number(query.diversity) || 0)),
    weights: valid && query.weights ? weights : blocks.map(() => 1),
    region: numbers.length === 4 && left < right && top < bottom ? { left, top, right, bottom } : undefined,
    compare: query.compare ?? "",
  };
}

/** Terms are lines of a weight and a value, which has no line feed. @param {Kind} kind @param {string} text @returns {SearchTerm[]} */
function readTerms(kind, text) {
  const found = text.split("\n").map((line) => {
    const [, weight, value = ""] = /^(-?[0-9.]+) (.+)$/s.exec(line) ?? [];
    return { kind, value, weight: Number(weight) };
  });
  return found.filter((term) => term.weight);
}

/** What to change in the URL. @param {SearchTerm[]} terms */
export const writeTerms = (terms) =>
  Object.fromEntries(PLACES.map(([kind, place]) => [
    place, terms.filter((term) => term.kind === kind).map((term) => `${term.weight} ${term.value}`).join("\n"),
  ]));

/**
 * The request, without the picture.
 * @param {Search} search
 * @param {string[]} blocks
 * @param {boolean} withPicture
 * @returns {{ query: Record<string, any>[], k: number, [setting: string]: any }}
 */
export function requestOf(search, blocks, withPicture) {
  const own = withPicture ? [search.region ? { region: search.region } : {}] : [];
  /** @type {{ k: number, [setting: string]: any }} */
  const settings = { k: search.k };
  if (search.filter) settings.filter = search.filter;
  if (search.group) settings.groupBy = "product_id";
  if (search.diversity) settings.diversity = search.diversity;
  if (search.weights.some((weight) => weight !== 1)) {
    settings.emphasis = Object.fromEntries(blocks.map((name, place) => [name, search.weights[place]]));
  }
  return { query: [...own, ...search.terms.map(({ kind, value, weight }) => ({ [kind]: value, weight }))], ...settings };
}

/**
 * @param {string} collection
 * @param {Search} search
 * @param {string[]} blocks
 * @param {Blob | undefined} picture
 * @param {AbortSignal} signal
 * @returns {Promise<{ first: Schemas["SearchResponse"], comparison?: Schemas["CompareSearchesResponse"] }>}
 */
export async function runSearch(collection, search, blocks, picture, signal) {
  const request = requestOf(search, blocks, picture !== undefined);
  const pictures = picture ? [picture] : [];
  if (!search.compare) {
    return { first: await call("POST", path("/v1/collections/{}:search", collection), { body: request, pictures, signal }) };
  }
  const { query, emphasis, ...settings } = request;
  const body = { query, first: { collection, emphasis, ...settings }, second: { collection: search.compare, ...settings } };
  /** @type {Schemas["CompareSearchesResponse"]} */
  const comparison = await call("POST", "/v1/search:compare", { body, pictures, signal });
  return { first: /** @type {Schemas["SearchResponse"]} */ (comparison.first), comparison };
}

/** @param {Schemas["SearchResponse"]} found hits, of groups too @returns {Schemas["Hit"][]} */
export const hitsOf = (found) => [...found.hits, ...found.groups.flatMap((group) => group.hits)];

/** One word of a command, whatever is in it. @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** A command that does the same. @param {string} collection @param {any} request @param {boolean} withPicture */
export function asCurl(collection, request, withPicture) {
  const target = quoted(location.origin + path("/v1/collections/{}:search", collection));
  const text = quoted(JSON.stringify(request));
  const sent = withPicture ? `-F request=${text} -F image-0=@query.jpg` : `-H 'content-type: application/json' -d ${text}`;
  return `curl -fsS ${target} -H "authorization: Bearer $AFTERIMAGE_API_KEY" \\\n  ${sent}`;
}

/** A program that does the same. @param {string} collection @param {any} request @param {boolean} withPicture */
export function asPython(collection, request, withPicture) {
  const terms = request.query.map((/** @type {any} */ term, /** @type {number} */ place) => {
    const own = withPicture && place === 0;
    const region = term.region && `region=Region(${["left", "top", "right", "bottom"].map((side) => term.region[side]).join(", ")})`;
    const { weight, recordId, ...other } = term;
    const [[name, value] = []] = Object.entries(other); // a colour, or words
    const parts = own ? ['image=open("query.jpg", "rb").read()', region] : [`${recordId ? "record_id" : name}=${JSON.stringify(recordId ?? value)}`, `weight=${weight}`];
    return `Term(${parts.filter(Boolean).join(", ")})`;
  });
  const more = [
    `k=${request.k}`, request.filter && `filter=${JSON.stringify(request.filter)}`, request.groupBy && 'group_by="product_id"',
    request.diversity && `diversity=${request.diversity}`, request.emphasis && `emphasis=${JSON.stringify(request.emphasis)}`,
  ].filter(Boolean);
  return `import os
from afterimage.client import Client, Region, Term

with Client("${location.hostname}:50051", api_key=os.environ["AFTERIMAGE_API_KEY"]) as client:  # the address of gRPC
    found = client.search(${JSON.stringify(collection)}, [${terms.join(", ")}], ${more.join(", ")})
    for hit in [*found.hits, *(h for g in found.groups for h in g.hits)]:
        print(hit.record_id, hit.score, hit.distance)`;
}
