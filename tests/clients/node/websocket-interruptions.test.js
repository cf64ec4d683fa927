// The client in clients/typescript against a server that does what a gateway does only at a bad moment.

import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { WebSocket, WebSocketServer } from "ws";

import { PrismClient } from "../../../clients/typescript/dist/index.js";

const WELCOME = { id: 0, welcome: { maxCalls: 256, maxFrameBytes: 1 << 20, requestCredits: 16, replyCredits: 32 } };

const failure = (id, code, reason) => ({ id, end: { requestId: "", error: { code, reason, message: "" } } });

/** Starts a server until the end of the test. `connected` returns what a connection does with a frame. */
async function serve(test, connected) {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  test.after(() => {
    for (const socket of server.clients) socket.terminate();
    server.close();
  });
  server.on("connection", (socket) => {
    const send = (...frames) => {
      // In one packet, so that the client gets them in one turn of its event loop.
      socket._socket.cork();
      for (const frame of frames) socket.send(JSON.stringify(frame));
      socket._socket.uncork();
    };
    const receive = connected(send);
    socket.on("message", (data) => receive(JSON.parse(data)));
  });
  await once(server, "listening");
  return server;
}

function connect(test, server, options = {}) {
  const client = new PrismClient({ url: `ws://127.0.0.1:${server.address().port}`, WebSocket, retry: { initialMs: 5, maxMs: 20, maxAttempts: 20 }, ...options });
  test.after(() => client.close());
  return client;
}

test("connects again if the gateway shuts down with its first frames", async (t) => {
  let connections = 0;
  const server = await serve(t, (send) => {
    connections += 1;
    if (connections === 1) send(WELCOME, { id: 0, goAway: { reason: "", reconnectAfterMs: 20 } });
    else send(WELCOME);
    return ({ id, call }) => call && send({ id, message: { connections }, end: { requestId: "" } });
  });
  assert.deepEqual(await connect(t, server).unary("Get", {}, { timeoutMs: 5000 }), { connections: 2 });
});

test("ends a stream whose reply can't be decoded", async (t) => {
  const server = await serve(t, (send) => {
    send(WELCOME);
    return ({ id, call }) => call && send({ id, message: {}, end: { requestId: "" } });
  });
  const decode = () => {
    throw new Error("not a reply");
  };
  const stream = connect(t, server).stream({ name: "Scan", encode: (request) => request, decode }, {}, { timeoutMs: 5000 });
  await assert.rejects(stream.next(), /not a reply/);
});

test("repeats no stream of requests that can't be read again, but gets new credentials for the next call", async (t) => {
  const server = await serve(t, (send) => {
    let key = "";
    let count = 0;
    send(WELCOME);
    return ({ id, call, authenticate, message, end }) => {
      if (authenticate) key = authenticate.apiKey;
      if (call) count = 0;
      if (call && key === "old") send(failure(id, "UNAUTHENTICATED", "INVALID_CREDENTIALS"));
      if (message) count += 1;
      if (end && key !== "old") send({ id, message: { count }, end: { requestId: "" } });
    };
  });
  function* requests() {
    yield* [1, 2, 3];
  }
  const renewing = () => {
    let asked = 0;
    return connect(t, server, { credentials: () => ({ apiKey: (asked += 1) === 1 ? "old" : "new" }) });
  };
  const uploads = renewing();
  await assert.rejects(uploads.upload("Put", requests()), { code: "UNAUTHENTICATED" });
  assert.deepEqual(await uploads.upload("Put", requests()), { count: 3 });
  const streams = renewing();
  await assert.rejects(streams.duplex("Put", requests()).next(), { code: "UNAUTHENTICATED" });
  assert.deepEqual(await streams.duplex("Put", requests()).next(), { done: false, value: { count: 3 } });
  assert.deepEqual(await renewing().upload("Put", [1, 2, 3]), { count: 3 });
});

test("leaves the requests of a call alone that gets no connection", async (t) => {
  const nobody = { address: () => ({ port: 9 }) };
  let isTouched = false;
  const requests = {
    [Symbol.iterator]() {
      isTouched = true;
      return [1][Symbol.iterator]();
    },
  };
  const call = connect(t, nobody, { retry: { initialMs: 1, maxMs: 2, maxAttempts: 2 } }).upload("Put", requests);
  await assert.rejects(call, { code: "UNAVAILABLE", reason: "CANNOT_CONNECT" });
  assert.equal(isTouched, false);
});

test("continues a stream without replies each time its credentials end", async (t) => {
  let calls = 0;
  const server = await serve(t, (send) => {
    send(WELCOME);
    return ({ id, call }) => {
      if (!call) return;
      calls += 1;
      if (calls < 4) setTimeout(() => send(failure(id, "UNAUTHENTICATED", "INVALID_CREDENTIALS")), 60);
      else send({ id, message: { calls }, end: { requestId: "" } });
    };
  });
  const stream = connect(t, server, { credentials: () => ({ apiKey: "a" }) }).stream("Read", { follow: true }, { timeoutMs: 5000 });
  assert.deepEqual(await stream.next(), { done: false, value: { calls: 4 } });
});

test("opens no connection after its end", async (t) => {
  let connections = 0;
  const server = await serve(t, (send) => {
    connections += 1;
    send(WELCOME);
    return () => {};
  });
  const client = connect(t, server, { credentials: () => sleep(50, {}) });
  const call = client.unary("Get", {});
  await sleep(10);
  client.close();
  await assert.rejects(call, { code: "CANCELLED", reason: "CLIENT_CLOSED" });
  await sleep(150);
  assert.equal(connections, 0);
});
