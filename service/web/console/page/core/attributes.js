// The attributes of a collection: their names and types from a sample of records, the counts of their values from facets.
import { call, path } from "./api.js";

/** @typedef {import("../../openapi").components["schemas"]} Schemas */
/** @typedef {"text" | "number" | "yes/no" | "list"} Kind */
/**
 * @typedef {object} Attribute
 * @property {string} name
 * @property {Kind} kind
 * @property {{ label: string, condition: string, count: number }[]} values the most frequent values, or ranges of
 *   numbers, each with the condition of a filter that selects it
 */

const SAMPLE = 200; // records
const MOST_FACETS = 16;
const MOST_VALUES = 12;

/**
 * Describes the attributes of the records that match a filter.
 * @param {string} collection
 * @param {string} filter
 * @param {AbortSignal} signal
 * @returns {Promise<Attribute[]>}
 */
export async function describeAttributes(collection, filter, signal) {
  const target = path("/v1/collections/{}", collection);
  /** @type {Schemas["SampleRecordsResponse"]} */
  const sample = await call("GET", `${target}/records:sample`, { query: { count: SAMPLE, seed: 1 }, signal });
  const attributes = kindsOf(sample.records).slice(0, MOST_FACETS);
  const first = sample.records[0];
  if (!first || attributes.length === 0) return [];
  const facets = attributes.map(({ name, numbers }) => (numbers ? `${name}[${edges(numbers).join(",")}]` : name));
  /** @type {Schemas["SearchResponse"]} */
  const found = await call("POST", `${target}:search`, {
    body: { query: [{ recordId: first.recordId }], k: 1, filter, facets, fields: ["-"] }, signal,
  });
  return attributes.map(({ name, kind }, place) => ({ name, kind, values: valuesOf(name, kind, found.facets[place]) }));
}

/** @param {Schemas["Record"][]} records */
function kindsOf(records) {
  /** @type {Map<string, { kind: Kind, numbers: number[] | undefined }>} */
  const found = new Map();
  for (const [name, value] of records.flatMap((record) => Object.entries(record.attributes))) {
    const before = found.get(name);
    if (typeof value === "number" && before?.numbers) before.numbers.push(value);
    else if (!before) found.set(name, { kind: kindOf(value), numbers: typeof value === "number" ? [value] : undefined });
  }
  return [...found].map(([name, one]) => ({ name, ...one })).sort((a, b) => a.name.localeCompare(b.name));
}

/** @param {unknown} value @returns {Kind} */
function kindOf(value) {
  if (Array.isArray(value)) return "list";
  if (typeof value === "number") return "number";
  return typeof value === "boolean" ? "yes/no" : "text";
}

/** Round numbers that part a sample into about five. @param {number[]} numbers */
function edges(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const at = [0.2, 0.4, 0.6, 0.8].map((share) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0);
  return [...new Set(at.map((number) => Number(number.toPrecision(2))))].sort((a, b) => a - b);
}

/**
 * @param {string} name
 * @param {Kind} kind
 * @param {Schemas["Facet"] | undefined} facet
 */
function valuesOf(name, kind, facet) {
  return (facet?.counts ?? []).slice(0, MOST_VALUES).map((one) => {
    const { stringValue, boolValue, rangeValue, count } = /** @type {any} */ (one);
    const matches = Number(count);
    if (rangeValue) return { ...range(name, rangeValue), count: matches };
    const value = stringValue ?? boolValue;
    return { label: String(value), condition: condition(name, kind, kind === "list" ? ":" : "=", String(value)), count: matches };
  });
}

/** @param {string} name @param {{ low?: number, high?: number }} range */
function range(name, { low, high }) {
  const parts = [low !== undefined && `${name} >= ${low}`, high !== undefined && `${name} < ${high}`];
  const label = low === undefined ? `below ${high}` : high === undefined ? `from ${low}` : `${low} to below ${high}`;
  return { label, condition: parts.filter(Boolean).join(" AND ") };
}

/** Operators by kind, in the language of docs/filters.md. @type {Record<Kind, [string, string][]>} */
export const OPERATORS = {
  text: [["=", "is"], ["!=", "is not"], ["^", "begins with"], [":*", "exists"]],
  number: [["=", "is"], ["<", "below"], ["<=", "up to"], [">", "above"], [">=", "from"], [":*", "exists"]],
  "yes/no": [["=", "is"], [":*", "exists"]],
  list: [[":", "contains"], [":*", "exists"]],
};

/**
 * One condition of a filter.
 * @param {string} name
 * @param {Kind} kind
 * @param {string} operator of OPERATORS
 * @param {string} value as typed
 */
export function condition(name, kind, operator, value) {
  if (operator === ":*") return `${name}:*`;
  if (kind === "number" || kind === "yes/no") return `${name} ${operator} ${value.trim()}`;
  const text = value.replace(/[\\"*]/g, "\\$&");
  if (operator === "^") return `${name} = "${text}*"`;
  return operator === ":" ? `${name}:"${text}"` : `${name} ${operator} "${text}"`;
}

/** A filter that also demands a condition. AND beside OR needs parentheses. @param {string} filter @param {string} more */
export function both(filter, more) {
  const before = filter.trim();
  if (!before) return more;
  return /\bOR\b/.test(before) ? `(${before}) AND ${more}` : `${before} AND ${more}`;
}
