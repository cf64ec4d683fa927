// The published clients of the two protocols for subscriptions, unchanged: graphql-ws and graphql-sse.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { createClient as createSseClient } from "graphql-sse";
import { createClient as createWsClient } from "graphql-ws";
import WebSocket from "ws";

const url = `${process.env.PRISM_URL}/default/graphql`;
const socketUrl = url.replace(/^http/, "ws");
const keys = Array.from({ length: 60 }, (_, index) => `sub/${String(index).padStart(2, "0")}`);

async function ask(query, variables) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  return response.json();
}

before(async () => {
  const items = keys.map((key) => ({ key, value: Buffer.from(key).toString("base64") }));
  const answer = await ask("mutation($items: [StoreInput!]!) { storeBatch(items: $items) { results { revision } } }", { items });
  assert.equal(answer.errors, undefined, JSON.stringify(answer));
});

const clients = {
  "graphql-ws": () => createWsClient({ url: socketUrl, webSocketImpl: WebSocket, retryAttempts: 0 }),
  "graphql-sse": () => createSseClient({ url, retryAttempts: 0 }),
};

for (const [name, create] of Object.entries(clients)) {
  const client = create();
  after(() => client.dispose());

  const results = async (payload) => {
    const all = [];
    for await (const result of client.iterate(payload)) {
      all.push(result);
    }
    return all;
  };

  test(`${name}: a subscription has a result for each message, with its cursor`, async () => {
    const all = await results({ query: "subscription($p: String) { scan(prefix: $p) { key value } }", variables: { p: "sub/" } });
    assert.deepEqual(all.map((result) => result.data.scan.key), keys);
    assert.equal(Buffer.from(all[0].data.scan.value, "base64").toString(), "sub/00");
    assert.ok(all.every((result) => result.extensions.cursor));
  });

  test(`${name}: a subscription continues after its last cursor`, async () => {
    const [first] = await results({ query: 'subscription { scan(prefix: "sub/", limit: 1) { key } }' });
    const rest = await results({
      query: "subscription($c: String) { scan(prefix: \"sub/\", cursor: $c) { key } }",
      variables: { c: first.extensions.cursor },
    });
    assert.deepEqual(rest.map((result) => result.data.scan.key), keys.slice(1));
  });

  test(`${name}: queries and mutations have one result`, async () => {
    const [written] = await results({ query: `mutation { store(key: "one/${name}", value: "aGk=") { revision } }` });
    assert.ok(Number(written.data.store.revision) > 0);
    const [read] = await results({ query: `{ retrieve(key: "one/${name}") { value } missing: retrieve(key: "none") { value } }` });
    assert.deepEqual(read.data, { retrieve: { value: "aGk=" }, missing: null });
    assert.equal(read.errors[0].extensions.reason, "KEY_NOT_FOUND");
  });

  test(`${name}: an error of a stream is its last result`, async () => {
    const all = await results({ query: 'subscription { scan(cursor: "%%%") { key } }' }).catch((error) => [{ errors: [].concat(error) }]);
    assert.equal(all.at(-1).errors[0].extensions.reason, "INVALID_CURSOR", JSON.stringify(all));
  });

  test(`${name}: a document that is wrong is refused`, async () => {
    const refused = await results({ query: "subscription { nothing }" }).catch((error) => [{ errors: [].concat(error) }]);
    assert.equal(refused[0].errors[0].extensions.reason, "GRAPHQL_VALIDATION", JSON.stringify(refused));
  });

  test(`${name}: a subscription can be left`, async () => {
    let count = 0;
    for await (const result of client.iterate({ query: 'subscription { scan(prefix: "sub/") { key } }' })) {
      assert.equal(result.errors, undefined);
      if (++count === 3) break;
    }
    const [next] = await results({ query: "{ __typename }" });
    assert.equal(next.data.__typename, "Query");
  });

  test(`${name}: many operations run at the same time`, async () => {
    const runs = Array.from({ length: 40 }, () => results({ query: 'subscription { scan(prefix: "sub/") { key } }' }));
    for (const all of await Promise.all(runs)) {
      assert.equal(all.length, keys.length);
    }
  });
}

/** Opens a connection, sends messages, and returns the close code. */
function closeCode(messages) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(socketUrl.replace("/default/", "/interfaces/"), "graphql-transport-ws");
    socket.on("error", reject);
    socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
    socket.on("open", () => {
      for (const message of messages) {
        socket.send(typeof message === "string" || Buffer.isBuffer(message) ? message : JSON.stringify(message));
      }
    });
  });
}

const init = { type: "connection_init" };
// It does not end by itself.
const endless = { query: 'subscription { pubsubBasicSubscribe(topic: "t") { __typename } }' };
for (const [code, name, messages] of [
  [4400, "text that is no JSON", ["nonsense"]],
  [4400, "a binary message", [Buffer.from("{}")]],
  [4400, "an unknown type", [init, { type: "nothing" }]],
  [4400, "an operation without id", [init, { type: "subscribe", payload: endless }]],
  [4400, "an operation without document", [init, { type: "subscribe", id: "1", payload: {} }]],
  [4400, "a payload of another type", [{ type: "connection_init", payload: 7 }]],
  [4401, "an operation before the initialization", [{ type: "subscribe", id: "1", payload: endless }]],
  [4408, "no initialization", []],
  [4409, "an id that is in use", [init, ...["1", "1"].map((id) => ({ type: "subscribe", id, payload: endless }))]],
  [4429, "a second initialization", [init, init]],
]) {
  test(`graphql-transport-ws: ${name} closes the connection with ${code}`, async () => {
    const closed = await closeCode(messages);
    assert.equal(closed.code, code, closed.reason);
  });
}

test("graphql-transport-ws: pings are answered", async () => {
  const socket = new WebSocket(socketUrl, "graphql-transport-ws");
  await new Promise((done) => socket.on("open", done));
  const answers = [];
  const pong = new Promise((done) => socket.on("message", (text) => {
    answers.push(JSON.parse(text));
    if (answers.length === 2) done();
  }));
  socket.send(JSON.stringify(init));
  socket.send(JSON.stringify({ type: "ping" }));
  await pong;
  assert.deepEqual(answers.map((answer) => answer.type).sort(), ["connection_ack", "pong"]);
  socket.close();
});
