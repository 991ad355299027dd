// Against a server of our own that fails as told.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { Client } from "afterimage-client";

const status = (code, reason, retryDelay) => JSON.stringify({
  code, message: "as told",
  details: [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason, domain: "afterimage" },
    ...(retryDelay ? [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay }] : [])],
});
const overloaded = (delay) => [429, status(8, "OVERLOADED", delay)];

/** Calls `work` with a client of a server that answers with `answers` in turn, and returns when requests arrived. */
async function against(answers, work, options = {}) {
  const times = [], headers = [];
  const server = createServer((request, response) => {
    request.resume().on("end", () => {
      times.push(performance.now());
      headers.push(request.headers);
      const answer = answers[Math.min(times.length, answers.length) - 1];
      if (typeof answer === "function") return answer(request, response);
      response.writeHead(answer[0], answer[2]).end(answer[1]);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const retry = { baseMs: 1, ...options.retry };
  try {
    await work(new Client({ url: `http://127.0.0.1:${server.address().port}/shop/`, apiKey: "k", ...options, retry }));
  } finally {
    server.closeAllConnections();
    server.close();
  }
  return { times, headers };
}

test("a call waits as long as the server says, and is sent again", async () => {
  const { times, headers } = await against([overloaded("0.300s"), [200, '{"collections": []}']], async (client) => {
    assert.deepEqual((await client.listCollections()).collections, []);
  });
  assert.ok(times[1] - times[0] >= 295, `${times[1] - times[0]}`);
  assert.equal(headers[0].authorization, "Bearer k");
  assert.ok(Number(headers[1]["x-timeout"]) <= 29.8);
});

test("the delay of a proxy is respected, too", async () => {
  const busy = [503, "busy", { "retry-after": "1" }];
  const { times } = await against([busy, [200, '{"collections": []}']], (client) => client.listCollections());
  assert.ok(times[1] - times[0] >= 990);
});

test("a call that is not safe to repeat is sent once, and so is one that inserts new records alone", async () => {
  const unavailable = [503, status(14, "STOPPING")];
  for (const call of [(c) => c.startRun({ source: "s" }), (c) => c.insertRecords({ collection: "c", insertOnly: true }),
    (c) => c.createCollection({ name: "c" })]) {
    const { times } = await against([unavailable], (client) =>
      assert.rejects(call(client), { name: "Unavailable", reason: "STOPPING" }));
    assert.equal(times.length, 1);
  }
});

test("attempts, long delays and the deadline end the retries", async () => {
  let { times } = await against([[503, status(14, "STOPPING")]], (client) => assert.rejects(client.listCollections()), { retry: { attempts: 3 } });
  assert.equal(times.length, 3);
  ({ times } = await against([overloaded("3600s")], (client) =>
    assert.rejects(client.listCollections(), { name: "ResourceExhausted", retryDelayMs: 3_600_000 })));
  assert.equal(times.length, 1);
  ({ times } = await against([overloaded("3600s")], (client) =>
    assert.rejects(client.listCollections({}, { timeoutMs: Infinity }), { name: "ResourceExhausted" })));
  assert.equal(times.length, 1);
  ({ times } = await against([overloaded("5s")], (client) => assert.rejects(client.listCollections({}, { timeoutMs: 1000 }), { name: "ResourceExhausted" })));
  assert.equal(times.length, 1);
  ({ times } = await against([[400, status(3, "ARGUMENT_INVALID")]], (client) => assert.rejects(client.listCollections())));
  assert.equal(times.length, 1);
});

test("a quota without a delay is not tried again", async () => {
  const { times } = await against([[429, status(8, "QUOTA_EXCEEDED")]], (client) =>
    assert.rejects(client.search({ collection: "c" }), { reason: "QUOTA_EXCEEDED" }));
  assert.equal(times.length, 1);
});

test("a broken connection is tried again, and named where no server is left", async () => {
  const broken = (request) => request.socket.destroy();
  const { times } = await against([broken, [200, '{"collections": []}']], (client) => client.listCollections());
  assert.equal(times.length, 2);
  await assert.rejects(new Client({ url: "http://127.0.0.1:9999", retry: { attempts: 1 } }).listCollections(), { name: "Unavailable", status: undefined });
});

test("a call ends at its deadline, and with the caller's signal", async () => {
  const silent = () => undefined;
  await against([silent], (client) => assert.rejects(client.listCollections({}, { timeoutMs: 50 }), { name: "DeadlineExceeded" }));
  const stop = new AbortController();
  await against([() => stop.abort(new Error("closed the page"))], (client) =>
    assert.rejects(client.listCollections({}, { signal: stop.signal }), /closed the page/));
  const while_waiting = new AbortController();
  await against([() => undefined, [200, "{}"]], async (client) => {
    const call = client.listCollections({}, { signal: while_waiting.signal });
    while_waiting.abort();
    await assert.rejects(call, { name: "AbortError" });
  });
});

test("a watched run is opened again after its stream broke, other streams are not", async () => {
  const line = (state) => `${JSON.stringify({ run: { state, createdCount: "12345678901" } })}\n`;
  const broken = (text) => (_, response) => {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.write(text, () => setImmediate(() => response.destroy()));
  };
  const states = [];
  await against([broken(line("fetching")), broken(line("applying") + '{"run": {"st'), [200, line("succeeded")]], async (client) => {
    for await (const { run } of client.watchRun({ runId: "1" })) states.push([run.state, run.createdCount]);
  });
  assert.deepEqual(states, ["fetching", "applying", "succeeded"].map((state) => [state, 12345678901]));
  const { times } = await against([broken('{"recordIds": ["1"]}\n'), [200, ""]], (client) => assert.rejects((async () => {
    for await (const group of client.findDuplicates({ collection: "c" })) assert.deepEqual(group.recordIds, ["1"]);
  })(), { name: "Unavailable" }));
  assert.equal(times.length, 1);
});

test("the last line of a stream may be its error", async () => {
  const failed = `{"recordIds": ["1"]}\n{"error": ${status(8, "OVERLOADED", "2s")}}\n`;
  await against([[200, failed]], (client) => assert.rejects((async () => {
    for await (const group of client.findDuplicates({ collection: "c" })) assert.ok(group);
  })(), { name: "ResourceExhausted", reason: "OVERLOADED", retryDelayMs: 2000 }));
});

test("answers of others are errors with their status, and redirects are not followed", async () => {
  const { times } = await against([[302, "", { location: "/elsewhere" }], [200, '{"collections": []}']], (client) =>
    assert.rejects(client.listCollections(), { name: "Unavailable" }), { retry: { attempts: 1 } });
  assert.equal(times.length, 1);
  await against([[404, "<html>nothing here</html>"]], (client) => assert.rejects(client.listCollections(), { name: "NotFound", status: 404, reason: "" }));
  await against([[200, "<html>hello</html>"]], (client) => assert.rejects(client.listCollections(), { name: "Unavailable" }), { retry: { attempts: 1 } });
});
