// Numbers, times and scores as people read them.
const NUMBER = new Intl.NumberFormat("en");
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["year", 31536000], ["month", 2592000], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** 12,345. @param {number | string} number also a 64-bit integer of the API, which is a string */
export const count = (number) => NUMBER.format(Number(number));

/** "1 record", "2 records". @param {number | string} number @param {string} noun @param {string} [plural] */
export const counted = (number, noun, plural = `${noun}s`) => `${count(number)} ${Number(number) === 1 ? noun : plural}`;

/** "3 minutes ago". @param {string | undefined} time of the API */
export function age(time) {
  if (!time) return "never";
  const seconds = (Date.parse(time) - Date.now()) / 1000;
  const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
  return RELATIVE.format(Math.round(seconds / size), unit);
}

/** Date and time of this machine's place. @param {string | undefined} time */
export const moment = (time) => (time ? new Date(time).toLocaleString() : "");

/** 3.4 MB. @param {number | string} bytes */
export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, Number(bytes))) / 3));
  return `${NUMBER.format(Number((Number(bytes) / 1000 ** step).toPrecision(3)))} ${units[step]}`;
}

/** What the distance of a hit says, as the server judges it: "same product". @param {string | undefined} likeness */
export const likenessWords = (likeness) => (likeness ? enumText(likeness, "LIKENESS_") : "");

/** Attributes by name, since the API has them in no order. @param {Record<string, any>} [attributes] @returns {[string, any][]} */
export const sorted = (attributes = {}) => Object.entries(attributes).sort(([one], [other]) => (one < other ? -1 : 1));

/** An attribute of a record as text. @param {unknown} value */
export const valueText = (value) => (Array.isArray(value) ? value.join(", ") : String(value));

/** `PICTURE_POLICY_DISCARD` to `discard`. @param {string} name of an enumeration @param {string} prefix */
export const enumText = (name, prefix) => name.slice(prefix.length).toLowerCase().replaceAll("_", " ");
