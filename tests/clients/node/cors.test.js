// The CORS requests and headers for pages of other origins (Fetch standard, "CORS protocol").

import assert from "node:assert/strict";
import http from "node:http";
import { describe, test } from "node:test";

import { url } from "./support/gateway.js";

const RPC = "/prism.patterns.keyvalue.v1.KeyValueService/Retrieve";
const LOCAL = ["http://localhost:3000", "http://127.0.0.1:5173", "https://localhost", "http://LOCALHOST:1"];
const FOREIGN = ["https://example.com", "http://localhost.example.com:3000", "http://localhost:3000.example.com", "null", "file://"];
/** The headers of the clients that need permission. */
const SENT = ["content-type", "x-grpc-web", "x-user-agent", "grpc-timeout", "authorization", "x-prism-namespace", "x-request-id"]
  .concat("connect-protocol-version", "connect-timeout-ms");
/** The headers that they must be able to read. */
const READ = ["grpc-status", "grpc-message", "grpc-status-details-bin", "x-request-id"];
/** A framed RetrieveRequest for an absent key. */
const ABSENT = Buffer.from([0, 0, 0, 0, 8, 0x0a, 6, ...Buffer.from("absent")]);

function send(method, headers, body) {
  return new Promise((resolve, reject) => {
    const request = http.request(url + RPC, { method, headers }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) }));
    });
    request.on("error", reject).end(body);
  });
}

const preflight = (origin, asked = SENT.join(",")) =>
  send("OPTIONS", { origin, "access-control-request-method": "POST", "access-control-request-headers": asked });
const call = (origin) => send("POST", { "content-type": "application/grpc-web+proto", "x-grpc-web": "1", ...(origin && { origin }) }, ABSENT);
const list = (value = "") => value.split(",").map((item) => item.trim().toLowerCase()).filter(Boolean);
const includes = (value, items) => assert.deepEqual(items.filter((item) => !list(value).includes(item)), [], value);

describe("preflight", () => {
  for (const origin of LOCAL) {
    test(`${origin} may call`, async () => {
      const { status, headers } = await preflight(origin);
      assert.equal(status, 204);
      assert.equal(headers["access-control-allow-origin"], origin);
      includes(headers["access-control-allow-methods"], ["post"]);
      includes(headers["access-control-allow-headers"], SENT);
      assert.ok(Number(headers["access-control-max-age"]) > 0);
    });
  }
  for (const origin of FOREIGN) {
    test(`${origin} may not`, async () => {
      const { headers } = await preflight(origin);
      const granted = Object.keys(headers).filter((name) => name.startsWith("access-control-"));
      assert.deepEqual(granted, []);
    });
  }
  test("metadata of an application is allowed too", async () => {
    const { headers } = await preflight(LOCAL[0], "x-my-metadata");
    includes(headers["access-control-allow-headers"], ["x-my-metadata"]);
  });
  for (const origin of [LOCAL[0], FOREIGN[0]]) {
    test(`the response for ${origin} has a Vary header`, async () => {
      const { headers } = await preflight(origin);
      includes(headers.vary, ["origin", "access-control-request-method", "access-control-request-headers"]);
    });
  }
});

describe("answer", () => {
  test("a page of this machine may read it", async () => {
    const { status, headers, body } = await call(LOCAL[0]);
    assert.equal(status, 200);
    assert.equal(headers["access-control-allow-origin"], LOCAL[0]);
    includes(headers["access-control-expose-headers"], READ);
    includes(headers.vary, ["origin"]);
    assert.match(body.toString("latin1"), /grpc-status: 5\r\n/);
  });
  test("a foreign page may not", async () => {
    const { headers } = await call(FOREIGN[0]);
    const granted = Object.keys(headers).filter((name) => name.startsWith("access-control-"));
    assert.deepEqual(granted, []);
  });
  test("a request without an origin gets no CORS headers", async () => {
    const { status, headers } = await call();
    assert.equal(status, 200);
    assert.equal(headers["access-control-allow-origin"], undefined);
  });
});
