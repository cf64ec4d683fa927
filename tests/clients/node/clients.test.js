// Calls by every published client of gRPC-Web and Connect, for each client, format and HTTP version.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { connect, connectGrpcWeb } from "./clients/connect.js";
import { google } from "./clients/google.js";
import { protobufTs } from "./clients/protobuf-ts.js";
import { Code } from "./support/failure.js";
import { ended, eventually, inFlight, url } from "./support/gateway.js";
import * as http2 from "./support/http2-fetch.js";

const CLIENTS = [
  google("text"),
  google("binary"),
  connectGrpcWeb("HTTP/1.1", fetch),
  connectGrpcWeb("HTTP/2", http2.fetch),
  connect("JSON", "POST", "HTTP/1.1", fetch),
  connect("JSON", "GET", "HTTP/2", http2.fetch),
  connect("binary", "GET", "HTTP/1.1", fetch),
  connect("binary", "POST", "HTTP/2", http2.fetch),
  protobufTs("text", "HTTP/1.1", fetch),
  protobufTs("text", "HTTP/2", http2.fetch),
  protobufTs("binary", "HTTP/1.1", fetch),
  protobufTs("binary", "HTTP/2", http2.fetch),
];

/** More than the buffers between gateway and client hold, so a scan lasts until the client reads or cancels it. */
const LARGE = { prefix: "large/", values: 96, bytes: 1 << 20 };

const scratch = { base: url, headers: { "x-prism-namespace": "scratch" } };
const text = (bytes) => new TextDecoder().decode(bytes);
const bytes = (text) => new TextEncoder().encode(text);

before(async () => {
  const value = new Uint8Array(LARGE.bytes).fill(0x61);
  for (let i = 0; i < LARGE.values; i++) {
    await CLIENTS[2].unary("store", { key: `${LARGE.prefix}${i}`, value }, scratch);
  }
});

after(http2.close);

for (const [index, client] of CLIENTS.entries()) {
  describe(client.name, () => {
    // Each client uses its own keys.
    const own = `client-${index}/`;
    const call = (rpc, request, options) => client.unary(rpc, request, { base: url, ...options });
    const stream = (rpc, request, options) => client.stream(rpc, request, { base: url, ...options });

    test("a call returns its response", async () => {
      const value = Uint8Array.from({ length: 70_000 }, (_, i) => i % 251);
      const stored = await call("store", { key: `${own}grüße`, value });
      assert.ok(stored.message.revision > 0n);
      const found = await call("retrieve", { key: `${own}grüße` });
      assert.equal(found.message.revision, stored.message.revision);
      assert.deepEqual(Buffer.from(found.message.value), Buffer.from(value));
    });

    test("an error has code, message and details", async () => {
      await assert.rejects(call("retrieve", { key: `${own}absent` }), (error) => {
        assert.equal(error.code, Code.NOT_FOUND);
        assert.match(error.message, /^the key is not there/);
        assert.equal(error.reason, "KEY_NOT_FOUND");
        return true;
      });
    });

    test("a stream returns all messages in order", async () => {
      const keys = Array.from({ length: 5 }, (_, i) => `${own}scan/${i}`);
      for (const key of keys) await call("store", { key, value: bytes(`value of ${key}`) });
      const entries = await all(stream("scan", { prefix: `${own}scan/` }));
      assert.deepEqual(entries.map(({ key }) => key), keys);
      assert.deepEqual(entries.map(({ value }) => text(value)), keys.map((key) => `value of ${key}`));
    });

    test("a stream may be empty", async () => {
      assert.deepEqual(await all(stream("scan", { prefix: `${own}nothing/` })), []);
    });

    test("a stream may be large", async () => {
      const entries = await all(stream("scan", { prefix: LARGE.prefix, limit: 3 }, scratch));
      assert.equal(entries.length, 3);
      for (const { value } of entries) assert.equal(value.length, LARGE.bytes);
    });

    test("the error of a stream has code, message and details", async () => {
      await assert.rejects(all(stream("scan", { cursor: "not a cursor" })), (error) => {
        assert.equal(error.code, Code.INVALID_ARGUMENT);
        assert.match(error.message, /cursor/);
        assert.equal(error.reason, "INVALID_CURSOR");
        return true;
      });
    });

    test("a call before its deadline succeeds", async () => {
      const { message } = await call("exists", { key: `${own}absent` }, { timeoutMs: 60_000 });
      assert.equal(message.exists, false);
    });

    test("a deadline ends a call", async () => {
      const scans = (code) => ended(client.protocol, "scratch", "Scan", code);
      const givenUp = async () => (await scans("DEADLINE_EXCEEDED")) + (await scans("CANCELLED"));
      const before = await givenUp();
      await assert.rejects(all(stream("scan", { prefix: LARGE.prefix }, { ...scratch, timeoutMs: 20 })), (error) => {
        assert.equal(error.code, Code.DEADLINE_EXCEEDED, error.message);
        // A client without a timer of its own gets the gateway's error.
        if (!client.ownTimer) assert.match(error.message, /deadline passed/);
        return true;
      });
      await eventually("the scan goes on in the gateway", async () => (await givenUp()) > before);
    });

    test("the response has the request id", async () => {
      const { headers } = await call("exists", { key: "a" }, { headers: { "x-request-id": `request-${index}` } });
      assert.equal(headers["x-request-id"], `request-${index}`);
    });

    test("cancelling a stream ends it in the gateway", async () => {
      const cancelled = () => ended(client.protocol, "scratch", "Scan", "CANCELLED");
      const before = await cancelled();
      const { messages, cancel } = stream("scan", { prefix: LARGE.prefix }, scratch);
      if (client.hoards) {
        await eventually("the scan did not begin", async () => (await inFlight("scratch")) > 0);
      } else {
        const first = await messages.next();
        assert.equal(first.value.key, `${LARGE.prefix}0`);
      }
      cancel();
      await eventually("no scan was cancelled", async () => (await cancelled()) > before);
    });

    test("header and base path choose the namespace", async () => {
      const key = `${own}where`;
      await call("store", { key, value: bytes("default") });
      await call("store", { key, value: bytes("scratch") }, scratch);
      const read = async (options) => text((await call("retrieve", { key }, options)).message.value);
      assert.equal(await read({}), "default");
      assert.equal(await read({ headers: { "x-prism-namespace": "default" } }), "default");
      assert.equal(await read({ base: `${url}/default` }), "default");
      assert.equal(await read(scratch), "scratch");
      assert.equal(await read({ base: `${url}/scratch` }), "scratch");
    });

    test("an unknown namespace is an error", async () => {
      await assert.rejects(call("exists", { key: "a" }, { headers: { "x-prism-namespace": "nowhere" } }), (error) => {
        assert.deepEqual([error.code, error.reason], [Code.NOT_FOUND, "NAMESPACE_NOT_FOUND"]);
        assert.match(error.message, /no namespace nowhere/);
        return true;
      });
    });
  });
}

async function all({ messages }) {
  const list = [];
  for await (const message of messages) list.push(message);
  return list;
}
