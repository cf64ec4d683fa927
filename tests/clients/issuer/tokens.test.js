// Tokens of a certified OpenID provider, sent to a gateway: JSON Web Tokens with keys by discovery, and opaque tokens by introspection.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Issuer, createKey } from "./issuer.js";

const issuer = new Issuer(Number(process.env.ISSUER_PORT));
const first = createKey("first", "ES256");
const second = createKey("second", "ES256");
/** Longer than the shortest time between two requests for keys. */
const FLOOR = 10_500;

async function call(namespace, token) {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const answer = await fetch(`${process.env.PRISM_URL}/${namespace}/v1/values/a`, { method: "PUT", headers, body: "x" });
  await answer.arrayBuffer();
  return answer.status;
}

/** Waits until a call has a status. */
async function until(status, namespace, token) {
  while ((await call(namespace, token)) !== status) {
    await sleep(50);
  }
}

before(() => issuer.start([first]));
after(() => issuer.stop());

test("tokens with keys by discovery", async () => {
  assert.equal(await call("jwt", await issuer.token("jwt", "prism")), 200);
  assert.equal(await call("jwt"), 401);
  assert.equal(await call("jwt", "nonsense"), 401);
});

test("a token for another audience is refused", async () => {
  assert.equal(await call("jwt", await issuer.token("jwt", "other")), 401);
  assert.equal(await call("opaque", await issuer.token("opaque", "other")), 401);
});

test("a token that was changed is refused", async () => {
  const [header, body, signature] = (await issuer.token("jwt", "prism")).split(".");
  const claims = JSON.parse(Buffer.from(body, "base64url"));
  const changed = Buffer.from(JSON.stringify({ ...claims, client_id: "root" })).toString("base64url");
  assert.equal(await call("jwt", `${header}.${changed}.${signature}`), 401);
});

test("opaque tokens by introspection, until they are revoked", async () => {
  const [kept, revoked] = [await issuer.token("opaque", "prism"), await issuer.token("opaque", "prism")];
  assert.equal(await call("opaque", kept), 200);
  assert.equal(await call("opaque", revoked), 200);
  await issuer.revoke(revoked);
  await until(401, "opaque", revoked);
  assert.equal(await call("opaque", kept), 200);
});

test("keys rotate without a failed call", async () => {
  assert.equal(await call("jwt", await issuer.token("jwt", "prism")), 200);
  await sleep(FLOOR);
  const old = await issuer.token("jwt", "prism");
  await issuer.restart([second, first]);
  const fresh = await issuer.token("jwt", "prism");
  const statuses = await Promise.all([fresh, old, fresh, old].map((token) => call("jwt", token)));
  assert.deepEqual(statuses, [200, 200, 200, 200]);
});

test("the last good keys survive an outage, and opaque tokens are refused", async () => {
  const [known, opaque] = [await issuer.token("jwt", "prism"), await issuer.token("opaque", "prism")];
  await issuer.stop();
  assert.equal(await call("jwt", known), 200);
  assert.equal(await call("opaque", opaque), 503);
  await issuer.start([second, first]);
  assert.equal(await call("jwt", await issuer.token("jwt", "prism")), 200);
});

test("a key that was removed is no longer accepted", async () => {
  const old = await issuer.token("jwt", "prism");
  await sleep(FLOOR);
  const third = createKey("third", "ES256");
  await issuer.restart([third]);
  assert.equal(await call("jwt", await issuer.token("jwt", "prism")), 200);
  assert.equal(await call("jwt", old), 401);
});
