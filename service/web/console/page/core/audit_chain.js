// Verifies an audit log and receipts in the browser, as docs/formats/audit-log.md describes them. The server is asked
// for the entries, and not whether they are right.
const UTF8 = new TextEncoder();

/** @param {ArrayBuffer} bytes */
const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** @param {string} text hexadecimal */
const bytesOf = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));

/** @param {string} text */
const sha256 = async (text) => hex(await crypto.subtle.digest("SHA-256", UTF8.encode(text)));

/**
 * JSON with sorted keys and without spaces.
 * @param {unknown} value
 * @returns {string}
 */
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const pairs = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return `{${pairs.map(([name, inner]) => `${JSON.stringify(name)}:${canonical(inner)}`).join(",")}}`;
}

/**
 * Whether the owner of a key signed a value; undefined if this browser cannot tell.
 * @param {unknown} value
 * @param {string} signature
 * @param {string} publicKey both hexadecimal
 */
export async function isSigned(value, signature, publicKey) {
  try {
    const key = await crypto.subtle.importKey("raw", bytesOf(publicKey), "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, bytesOf(signature), UTF8.encode(canonical(value)));
  } catch (error) {
    return error instanceof DOMException && error.name === "NotSupportedError" ? undefined : false;
  }
}

/** @param {any} entry */
const covered = (entry) => ({
  number: Number(entry.number), time_ms: Number(entry.timeMs), actor: entry.actor, action: entry.action,
  details: JSON.parse(entry.detailsJson), previous: entry.previous,
});

/**
 * Checks a log from its first entry to the signed head.
 * @param {AsyncIterable<any> | Iterable<any>} entries of the API, in order
 * @param {any} head
 * @param {string} publicKey
 * @returns {Promise<{ count: number, problems: string[], signature: boolean | undefined }>}
 */
export async function verifyLog(entries, head, publicKey) {
  const problems = [];
  const headNumber = Number(head.number);
  let count = 0;
  let previous = await sha256(`afterimage audit log\0${head.tenantUid}`);
  let atHead = headNumber === 0 ? previous : "";
  for await (const entry of entries) {
    count += 1;
    if (Number(entry.number) !== count) {
      problems.push(`Entry ${count} is missing: number ${entry.number} follows.`);
      break;
    }
    if (entry.previous !== previous) problems.push(`Entry ${count} does not follow from the one before it.`);
    if ((await sha256(canonical(covered(entry)))) !== entry.digest) problems.push(`Entry ${count} was changed.`);
    previous = entry.digest;
    if (count === headNumber) atHead = previous;
  }
  if (!headNumber) {
    if (count) problems.push("The log has no signed head.");
    return { count, problems, signature: true };
  }
  const { tenantUid, digest } = head;
  const signed = { tenant_uid: tenantUid, number: headNumber, digest, time_ms: Number(head.timeMs) };
  const signature = await isSigned(signed, head.signature, publicKey);
  if (signature === false) problems.push("The signature of the head is not valid.");
  if (count < headNumber) problems.push(`The signed head is entry ${headNumber}, but the log ends with entry ${count}.`);
  else if (atHead !== digest) problems.push(`Entry ${headNumber} differs from the signed one.`);
  return { count, problems, signature };
}

/**
 * Whether a receipt of an erasure was signed; see docs/formats/erasure-receipt.md.
 * @param {any} receipt as the API returned it, or as a command wrote it
 */
export async function isReceiptSigned(receipt) {
  const { signature, ...rest } = Object.fromEntries(
    Object.entries(receipt).map(([name, value]) => [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value]),
  );
  for (const name of ["records", "sequence", "time_ms"]) if (name in rest) rest[name] = Number(rest[name]);
  return isSigned(rest, String(signature), String(rest.public_key));
}
