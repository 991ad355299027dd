// Writes src/generated from the OpenAPI document of the server: the types (openapi-typescript), and a class with one
// method for each call. Nothing generated is committed, so it cannot be out of date.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";
import ts from "typescript";

const DOCUMENT = new URL("../../service/web/api/openapi.json", import.meta.url);
const TARGET = new URL("src/generated/", import.meta.url);
const LINES = "application/x-ndjson";

const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
const lower = (name) => name[0].toLowerCase() + name.slice(1);
const nameOf = (reference) => reference.split("/").pop();

/** The document with path variables in the spelling of JSON, as all other fields, and pictures as such. */
function prepared(text) {
  const document = JSON.parse(text, (name, value) => {
    if (name === "image" && value?.format === "byte") value.format = "picture";
    return value;
  });
  const paths = {};
  for (const [template, path] of Object.entries(document.paths)) {
    for (const operation of Object.values(path)) {
      for (const parameter of operation.parameters) parameter.name = camel(parameter.name);
    }
    paths[template.replace(/\{(\w+)\}/g, (_, name) => `{${camel(name)}}`)] = path;
  }
  document.paths = paths;
  return document;
}

const reference = (name) => ts.factory.createTypeReferenceNode(name);

/** The TypeScript type of what JSON has no type for. */
function transform(schema) {
  if (schema.format === "int64") return ts.factory.createKeywordTypeNode(ts.SyntaxKind.NumberKeyword);
  if (schema.format === "byte") return reference("Float32Array");
  if (schema.format === "picture") return reference("Picture");
  return undefined;
}

/** The field of a request that is one picture, besides those in its list: a part of its form. */
const onePicture = (form) =>
  Object.keys(form?.schema.properties ?? {}).find((name) => name !== "request" && name !== "image") ?? "";

/** A call, with what the client has to know of it. */
function callOf(template, verb, operation) {
  const [service, rpc] = operation.operationId.split("_");
  const sent = operation.requestBody?.content ?? {};
  const answered = operation.responses["200"].content;
  const item = answered[LINES]?.["x-item-schema"] ?? answered["application/json"].schema;
  return {
    service, rpc, id: operation.operationId, verb: verb.toUpperCase(), template,
    variables: [...template.matchAll(/\{(\w+)\}/g)].map((match) => match[1]),
    body: sent[LINES] ? "lines" : sent["application/json"] ? "json" : "query",
    forms: "multipart/form-data" in sent, onePicture: onePicture(sent["multipart/form-data"]), lines: LINES in answered, response: nameOf(item.$ref),
    retrySafe: operation["x-retry-safe"], takesKey: operation["x-takes-idempotency-key"] === true, noDeadline: operation["x-no-deadline"],
    comment: operation.description.split("\n\nThe query string")[0],
  };
}

/** Which fields of responses are not what JSON says: 64-bit integers and vectors, by the name of their schema. */
function shapesOf(schemas, responses) {
  const kinds = (schema) => {
    if (schema.$ref) return nameOf(schema.$ref);
    if (schema.format === "int64") return "number";
    if (schema.format === "byte") return "vector";
    const inner = schema.items ?? (typeof schema.additionalProperties === "object" && schema.additionalProperties);
    return inner ? kinds(inner) && `${schema.items ? "list" : "map"} ${kinds(inner)}` : undefined;
  };
  const shapes = {};
  const add = (name) => {
    if (name in shapes) return;
    const fields = Object.entries(schemas[name].properties ?? {}).map(([field, inner]) => [field, kinds(inner)]);
    shapes[name] = Object.fromEntries(fields.filter(([, kind]) => kind));
    Object.values(shapes[name]).map((kind) => kind.split(" ").pop()).filter((kind) => kind in schemas).forEach(add);
  };
  responses.forEach(add);
  // Schemas in which nothing is to be converted are left out, until none is left.
  const isPlain = (kind) => !["number", "vector"].includes(kind.split(" ").pop()) && !shapes[kind.split(" ").pop()];
  for (let changed = true; changed; ) {
    changed = false;
    for (const [name, fields] of Object.entries(shapes)) {
      for (const [field, kind] of Object.entries(fields)) if (isPlain(kind)) delete fields[field];
      if (Object.keys(fields).length === 0) changed = delete shapes[name];
    }
  }
  return shapes;
}

const comment = (text, indent) => {
  const lines = text.replaceAll("*/", "* /").split("\n").flatMap((line) => line.match(/.{1,110}(\s|$)/g) ?? [""]);
  return [`${indent}/**`, ...lines.map((line) => `${indent} * ${line}`.trimEnd()), `${indent} */`].join("\n");
};

function method(call) {
  const [name, request, response] = [lower(call.rpc), `${call.rpc}Request`, call.response];
  const head = `${comment(call.comment, "  ")}\n  ${name}(request: ${request}`;
  const table = `CALLS.${name}`;
  if (call.body === "lines") {
    return `${head}, batches: Batches<${call.rpc}Batch>, options?: CallOptions): AsyncGenerator<${response}> {
    return this.exchange(${table}, request, batches, options);\n  }`;
  }
  if (call.lines) {
    return `${head}, options?: CallOptions): AsyncGenerator<${response}> {
    return this.stream(${table}, request, options);\n  }`;
  }
  const given = call.variables.length === 0 && call.body === "query" ? " = {}" : "";
  return `${head}${given}, options?: CallOptions): Promise<${response}> {
    return this.unary(${table}, request, options);\n  }`;
}

function callsModule(calls, document) {
  const schemas = Object.keys(document.components.schemas);
  const requests = new Set(calls.map((call) => `${call.rpc}Request`));
  const lines = ["// Generated by generate.mjs.", 'import { Caller, type Batches, type CallOptions, type ClientOptions } from "../caller.js";',
    'import type { Call, Request, Shapes } from "../calls.js";', 'import type { components, operations } from "./schema.js";', ""];
  for (const name of schemas.filter((name) => !requests.has(name))) {
    lines.push(`export type ${name} = components["schemas"]["${name}"];`);
  }
  for (const call of calls) {
    lines.push(`export type ${call.rpc}Request = Request<operations["${call.id}"]>;`);
  }
  const table = calls.map((call) => {
    const { verb, template, variables, body, forms, onePicture, response, retrySafe, takesKey, noDeadline } = call;
    const path = { name: call.rpc, verb, template, variables };
    const entry = { ...path, body, forms, onePicture, response, retrySafe, takesKey, noDeadline };
    return `  ${lower(call.rpc)}: ${JSON.stringify(entry)},`;
  });
  const shapes = JSON.stringify(shapesOf(document.components.schemas, calls.map((call) => call.response)), null, 1);
  lines.push("", "const CALLS = {", ...table, "} satisfies { [name: string]: Call };", "");
  lines.push(`const SHAPES: Shapes = ${shapes};`, "");
  lines.push(comment("Every call of the API. Names and fields are those of the API, in the spelling of JSON.", ""));
  lines.push("export abstract class Calls extends Caller {", "  constructor(options: ClientOptions) {", "    super(options, SHAPES);", "  }", "");
  lines.push(calls.map(method).join("\n\n"), "}", "");
  return lines.join("\n");
}

const document = prepared(readFileSync(DOCUMENT, "utf8"));
const calls = Object.entries(document.paths).flatMap(([template, path]) =>
  Object.entries(path).map(([verb, operation]) => callOf(template, verb, operation)));
if (new Set(calls.map((call) => call.rpc)).size !== calls.length) throw new Error("two calls have one name");
for (const call of calls.filter((call) => call.body === "lines")) {
  const content = document.paths[call.template][call.verb.toLowerCase()].requestBody.content[LINES];
  document.components.schemas[`${call.rpc}Batch`] = content["x-item-schema"];
}
const inject = 'import type { Picture } from "../pictures.js";\n';
const types = astToString(await openapiTS(document, { transform, inject, silent: true }));
mkdirSync(TARGET, { recursive: true });
writeFileSync(new URL("schema.ts", TARGET), `// Generated by generate.mjs.\n${types.includes(inject.trim()) ? "" : inject}${types}`);
writeFileSync(new URL("calls.ts", TARGET), callsModule(calls, document));
