// The client in clients/typescript, over both subprotocols.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { WebSocket } from "ws";

import { PrismClient, PrismError } from "../../../clients/typescript/dist/index.js";
import { KeyValueService } from "./generated/es/prism/patterns/keyvalue/v1/keyvalue_pb.js";
import { ended, eventually, inFlight, url } from "./support/gateway.js";
import { Gateway } from "./support/process.js";

const SQLITE = `
backends: {disk: {type: sqlite, path: data.db}}
namespaces: [{name: default, pattern: keyvalue, slots: {storage: disk}}]
`;

/** Counts the messages that it receives. */
class CountingWebSocket extends WebSocket {
  static received = 0;

  constructor(...args) {
    super(...args);
    this.on("message", () => (CountingWebSocket.received += 1));
  }
}

/** A client of a namespace, until the end of the test. */
function connect(test, base, options = {}) {
  const client = new PrismClient({ url: `${base}/websocket`, WebSocket, retry: { initialMs: 20, maxMs: 200, maxAttempts: 200 }, ...options });
  test.after(() => client.close());
  return client;
}

/** Messages of protobuf-es over prism.v1.proto. */
const protobuf = (name) => {
  const rpc = KeyValueService.method[name];
  return {
    name: `${KeyValueService.typeName}/${rpc.name}`,
    encode: (request) => toBinary(rpc.input, create(rpc.input, request)),
    decode: (reply) => fromBinary(rpc.output, reply),
  };
};

/** What differs between the subprotocols: methods, and the form of bytes and events. */
const PROTOCOLS = {
  json: {
    method: (name) => name[0].toUpperCase() + name.slice(1),
    bytes: (text) => btoa(text),
    text: (bytes) => atob(bytes),
    event: (reply) => Object.entries(reply).find(([name]) => name !== "cursor"),
  },
  proto: {
    method: protobuf,
    bytes: (text) => new TextEncoder().encode(text),
    text: (bytes) => new TextDecoder().decode(bytes),
    event: ({ event }) => [event.case, event.value],
  },
};

/** Takes replies of a stream until a condition holds for one of them. */
async function takeUntil(stream, holds) {
  const taken = [];
  for (;;) {
    const { value, done } = await stream.next();
    assert.equal(done, false, "the stream has ended");
    taken.push(value);
    if (holds(value)) return taken;
  }
}

for (const [protocol, { method, bytes, text, event }] of Object.entries(PROTOCOLS)) {
  describe(`prism-websocket over prism.v1.${protocol}`, () => {
    const options = { protocol };

    test("calls, and its errors have code, reason and details", async (t) => {
      const client = connect(t, `${url}/default`, options);
      const key = `ws-${protocol}`;
      let headers;
      const stored = await client.unary(method("store"), { key, value: bytes("one") }, { onMetadata: (received) => (headers = received) });
      assert.ok(BigInt(stored.revision) > 0n);
      assert.equal(typeof headers, "object");
      const { value } = await client.unary(method("retrieve"), { key });
      assert.equal(text(value), "one");
      await assert.rejects(client.unary(method("retrieve"), { key: "missing" }), (error) => {
        assert.ok(error instanceof PrismError);
        assert.deepEqual([error.code, error.reason], ["NOT_FOUND", "KEY_NOT_FOUND"]);
        assert.match(error.requestId, /./);
        return true;
      });
      await assert.rejects(client.unary(method("store"), { key: "", value: bytes("") }), (error) => {
        assert.equal(error.code, "INVALID_ARGUMENT");
        assert.deepEqual(error.violations.map(({ field }) => field), ["key"]);
        return true;
      });
    });

    test("shares a connection among many calls and streams", async (t) => {
      const client = connect(t, `${url}/scratch`, options);
      const keys = Array.from({ length: 100 }, (_, index) => `many-${protocol}/${index}`);
      await Promise.all(keys.map((key) => client.unary(method("store"), { key, value: bytes(key) })));
      const scans = Array.from({ length: 10 }, async () => {
        let count = 0;
        for await (const { key, value } of client.stream(method("scan"), { prefix: `many-${protocol}/` }, { window: 7 })) {
          assert.equal(text(value), key);
          count += 1;
        }
        return count;
      });
      assert.deepEqual(await Promise.all(scans), Array.from({ length: 10 }, () => keys.length));
    });

    test("receives only as many replies as its reader has room for", async (t) => {
      const client = connect(t, `${url}/scratch`, { ...options, WebSocket: CountingWebSocket });
      const prefix = `credits-${protocol}/`;
      for (let index = 0; index < 50; index++) await client.unary(method("store"), { key: `${prefix}${index}`, value: bytes("") });
      CountingWebSocket.received = 0;
      const stream = client.stream(method("scan"), { prefix }, { window: 6 });
      await stream.next();
      // A later call of the same connection: the gateway had time to send more.
      await client.unary(method("retrieve"), { key: `${prefix}0` });
      assert.ok(CountingWebSocket.received <= 6 + 1, `${CountingWebSocket.received} messages were received`);
      let count = 1;
      for await (const _ of stream) count += 1;
      assert.equal(count, 50);
    });

    test("cancels calls", async (t) => {
      const client = connect(t, `${url}/scratch`, options);
      const cancelled = () => ended("websocket", "scratch", "Watch", "CANCELLED");
      const before = await cancelled();
      for await (const reply of client.stream(method("watch"), {})) if (event(reply)[0].startsWith("caught")) break;
      const abort = new AbortController();
      const stream = client.stream(method("watch"), {}, { signal: abort.signal });
      await stream.next();
      abort.abort();
      await assert.rejects(takeUntil(stream, () => false), { code: "CANCELLED", reason: "CALL_CANCELLED" });
      await eventually("both calls were cancelled", async () => (await cancelled()) === before + 2 && (await inFlight("scratch")) === 0);
    });

    test("ends calls at their deadline", async (t) => {
      const client = connect(t, `${url}/scratch`, options);
      const stream = client.stream(method("watch"), { prefix: "nothing/" }, { timeoutMs: 200 });
      await assert.rejects(takeUntil(stream, () => false), { code: "DEADLINE_EXCEEDED" });
      const nobody = connect(t, "http://127.0.0.1:9", options);
      await assert.rejects(nobody.unary(method("retrieve"), { key: "a" }, { timeoutMs: 200 }), { code: "DEADLINE_EXCEEDED", reason: "CALL_DEADLINE" });
    });

    test("loses nothing and gets nothing twice when the gateway is killed", async (t) => {
      const gateway = await Gateway.start(t, SQLITE);
      const states = [];
      const client = connect(t, `${gateway.url}/default`, { ...options, onState: (state) => states.push(state) });
      const writer = connect(t, `${gateway.url}/default`, options);
      const stream = client.stream(method("watch"), {});
      await takeUntil(stream, (reply) => event(reply)[0].startsWith("caught"));
      const stored = new Map();
      let isDone = false;
      const writes = (async () => {
        for (let number = 1; !isDone; number++) {
          const key = `key-${number}`;
          const { revision } = await writer.unary(method("store"), { key, value: bytes(`${number}`) }, { isIdempotent: true });
          stored.set(key, BigInt(revision));
        }
      })();
      const seen = [];
      const follow = async (count) => {
        for (const end = seen.length + count; seen.length < end; ) {
          const [reply] = await takeUntil(stream, () => true);
          const [name, entry] = event(reply);
          assert.notEqual(name, "gap");
          if (name === "stored") seen.push({ key: entry.key, revision: BigInt(entry.revision) });
        }
      };
      for (let round = 0; round < 3; round++) {
        await follow(20);
        await gateway.end("SIGKILL");
        await gateway.start();
      }
      await follow(20);
      isDone = true;
      await writes;
      const last = `key-${stored.size}`;
      while (seen.at(-1).key !== last) await follow(1);
      const revisions = seen.map(({ revision }) => revision);
      assert.deepEqual(revisions, [...new Set(revisions)].sort((a, b) => (a < b ? -1 : 1)), "each change comes once, in order");
      // A write that was repeated after the kill is a second change of its key.
      for (const [key, revision] of stored) assert.ok(seen.some((one) => one.key === key && one.revision === revision), key);
      assert.ok(states.filter((state) => state === "connected").length >= 4, states.join());
    });

    test("follows a gateway that shuts down to the next one", async (t) => {
      const gateway = await Gateway.start(t, SQLITE);
      const states = [];
      const client = connect(t, `${gateway.url}/default`, { ...options, onState: (state) => states.push(state) });
      const stream = client.stream(method("watch"), {});
      await takeUntil(stream, (reply) => event(reply)[0].startsWith("caught"));
      await gateway.end("SIGTERM");
      assert.ok(states.includes("draining"), states.join());
      await gateway.start();
      await client.unary(method("store"), { key: "after", value: bytes("") });
      const events = await takeUntil(stream, (reply) => event(reply)[0] === "stored");
      assert.equal(event(events.at(-1))[1].key, "after");
    });

    test("continues with new credentials when the old ones end", async (t) => {
      const keys = `
backends: {disk: {type: sqlite, path: data.db}}
authenticators: {keys: {type: api-key, file: keys.yaml}}
namespaces: [{name: default, pattern: keyvalue, slots: {storage: disk}, authentication: [keys]}]
`;
      const newKey = async (gateway, id) => (await gateway.run("auth", "key", "create", "--subject", "test", "--id", id)).trim().split(/\s+/).at(-1);
      let apiKey;
      const gateway = await Gateway.start(t, keys, async (gateway) => (apiKey = await newKey(gateway, "first")));
      let asked = 0;
      const client = connect(t, `${gateway.url}/default`, { ...options, credentials: () => ((asked += 1), { apiKey }) });
      const stream = client.stream(method("watch"), {});
      await eventually("the key is served", () => client.unary(method("store"), { key: "a", value: bytes("") }).then(() => true, () => false));
      await takeUntil(stream, (reply) => event(reply)[0] === "stored" || event(reply)[0] === "entry");
      apiKey = await newKey(gateway, "second");
      const before = asked;
      await gateway.run("auth", "key", "revoke", "first");
      await eventually("the stream was opened again", () => asked > before);
      await client.unary(method("store"), { key: "b", value: bytes("") });
      const events = await takeUntil(stream, (reply) => event(reply)[1].key === "b");
      assert.ok(events.every((reply) => event(reply)[1].key !== "a"), "nothing comes twice");
      await client.authenticate({});
      await assert.rejects(connect(t, `${gateway.url}/default`, options).unary(method("retrieve"), { key: "a" }), { code: "UNAUTHENTICATED" });
    });

    test("refuses what does not fit", async (t) => {
      const client = connect(t, `${url}/scratch`, options);
      const large = client.unary(method("store"), { key: "large", value: bytes("x".repeat(5 << 20)) });
      await assert.rejects(large, { code: "INVALID_ARGUMENT", reason: "FRAME_TOO_LARGE" });
      const streams = Array.from({ length: 257 }, () => client.stream(method("watch"), { prefix: "none/" }));
      await assert.rejects(takeUntil(streams.at(-1), () => false), { code: "RESOURCE_EXHAUSTED", reason: "TOO_MANY_CALLS" });
      client.close();
      await assert.rejects(client.unary(method("retrieve"), { key: "a" }), { code: "CANCELLED", reason: "CLIENT_CLOSED" });
      const nobody = connect(t, "http://127.0.0.1:9", { ...options, retry: { initialMs: 1, maxMs: 2, maxAttempts: 3 } });
      await assert.rejects(nobody.unary(method("retrieve"), { key: "a" }), { code: "UNAVAILABLE", reason: "CANNOT_CONNECT" });
    });
  });
}

describe("prism-websocket with streams of requests", () => {
  const config = `
backends: {ram: {type: memory}}
namespaces:
  - {name: orders, pattern: producer, slots: {messaging: ram, ids: ram}}
  - {name: billing, pattern: consumer, slots: {messaging: {backend: ram, keyspace: orders}, progress: ram}}
`;

  test("uploads as far as the gateway takes it, and acknowledges what it receives", async (t) => {
    const gateway = await Gateway.start(t, config);
    const client = connect(t, gateway.url);
    const count = 200;
    const messages = Array.from({ length: count }, (_, index) => ({ topic: "orders.eu", message: { payload: btoa(`${index}`) } }));
    const { published } = await client.upload("PublishStream", messages, { namespace: "orders" });
    assert.equal(Number(published), count);

    const acks = [];
    let wake = () => {};
    async function* requests() {
      yield { begin: { topic: "orders.eu", group: "invoices", credits: 50, start: "START_EARLIEST" } };
      for (;;) {
        while (acks.length === 0) await new Promise((resolve) => (wake = resolve));
        const leases = acks.splice(0, 100);
        yield { ack: { leases } };
        yield { credits: leases.length };
      }
    }
    const received = [];
    let settled = 0;
    const stream = client.duplex("Consume", requests(), { namespace: "billing" });
    for await (const reply of stream) {
      if (reply.settled) settled += reply.settled;
      if (reply.message) {
        received.push(atob(reply.message.payload));
        acks.push(reply.message.lease);
        wake();
      }
      if (settled === count) break;
    }
    assert.deepEqual(received, messages.map((_, index) => `${index}`));
  });

  test("tells of a request that can't be made", async (t) => {
    const gateway = await Gateway.start(t, config);
    const client = connect(t, gateway.url);
    async function* broken() {
      yield { topic: "orders.eu", message: { payload: "" } };
      await sleep(1);
      throw new Error("the disk is gone");
    }
    await assert.rejects(client.upload("PublishStream", broken(), { namespace: "orders" }), /the disk is gone/);
  });
});
