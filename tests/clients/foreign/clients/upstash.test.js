// The published client @upstash/redis against the frontend upstash-redis, and requests as curl sends them.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";

import { Redis } from "@upstash/redis";

const url = process.env.PRISM_URL;
const token = process.env.PRISM_TOKEN;
if (!url || !token) {
  throw new Error("PRISM_URL and PRISM_TOKEN must be set");
}

const redis = new Redis({ url, token, enableTelemetry: false });
const oneByOne = new Redis({ url, token, enableTelemetry: false, enableAutoPipelining: false });
const plain = new Redis({ url, token, enableTelemetry: false, responseEncoding: false, automaticDeserialization: false });

/** Returns a new key. */
const fresh = (name) => `t-${randomBytes(6).toString("hex")}:${name}`;

/** Sends a request as curl does. */
async function raw(method, path, body, headers = {}) {
  const response = await fetch(url + path, { method, body, headers: { authorization: `Bearer ${token}`, ...headers } });
  return { status: response.status, type: response.headers.get("content-type"), body: await response.json() };
}

const fails = (promise, ...words) =>
  assert.rejects(promise, (error) => words.every((word) => error.message.includes(word)) || assert.fail(error.message));

test("a value comes back", async () => {
  const key = fresh("a");
  assert.equal(await redis.set(key, "hello"), "OK");
  assert.equal(await redis.get(key), "hello");
  assert.equal(await redis.get(fresh("none")), null);
});

test("JSON values, numbers and text of other scripts come back", async () => {
  const key = fresh("json");
  for (const value of [{ a: [1, "ü", null] }, 17, -2.5, "grüße 👋", true, ["x"]]) {
    await redis.set(key, value);
    assert.deepEqual(await redis.get(key), value);
    assert.deepEqual(await oneByOne.get(key), value);
  }
});

test("without base64, the text comes back", async () => {
  const key = fresh("plain");
  assert.equal(await plain.set(key, "grüße"), "OK");
  assert.equal(await plain.get(key), "grüße");
});

test("SET has conditions and the old value", async () => {
  const key = fresh("set");
  assert.equal(await redis.set(key, "1", { xx: true }), null);
  assert.equal(await redis.set(key, "a", { nx: true }), "OK");
  assert.equal(await redis.set(key, "b", { nx: true }), null);
  assert.equal(await redis.get(key), "a");
  assert.equal(await redis.set(key, "c", { get: true }), "a");
  assert.equal(await redis.set(key, "d", { xx: true }), "OK");
  assert.equal(await redis.set(key, "e", { xx: true, get: true }), "d");
  assert.equal(await redis.set(fresh("set"), "e", { nx: true, get: true }), null);
  assert.equal(await redis.set(key, "f", { nx: true, get: true }), "e");
  assert.equal(await redis.get(key), "e");
  await fails(redis.set(key, "x", { exat: 99999999999 }), "not supported");
  await fails(redis.set(key, "x", { ex: 0 }), "invalid expire time");
});

test("times to live", async () => {
  const key = fresh("ttl");
  assert.equal(await redis.ttl(key), -2);
  await redis.set(key, "a");
  assert.deepEqual([await redis.ttl(key), await redis.pttl(key)], [-1, -1]);
  assert.equal(await redis.expire(key, 100), 1);
  const left = await redis.ttl(key);
  assert.ok(left > 50 && left <= 100, `${left}`);
  assert.equal(await redis.set(key, "b", { keepTtl: true }), "OK");
  assert.ok((await redis.ttl(key)) > 50);
  assert.equal(await redis.persist(key), 1);
  assert.equal(await redis.persist(key), 0);
  assert.equal(await redis.set(key, "c", { px: 90500 }), "OK");
  const millis = await redis.pttl(key);
  assert.ok(millis > 50000 && millis <= 90500, `${millis}`);
  assert.equal(await redis.setex(key, 60, "d"), "OK");
  assert.equal(await redis.psetex(key, 60000, "d"), "OK");
  assert.equal(await redis.pexpire(key, 50000), 1);
  assert.equal(await redis.expire(fresh("none"), 10), 0);
  assert.equal(await redis.expire(key, -1), 1);
  assert.equal(await redis.get(key), null);
  await fails(redis.expire(key, "soon"), "not an integer");
});

test("counters", async () => {
  const key = fresh("count");
  assert.equal(await redis.incr(key), 1);
  assert.equal(await redis.incrby(key, 9), 10);
  assert.equal(await redis.decr(key), 9);
  assert.equal(await redis.decrby(key, 10), -1);
  await redis.set(key, "text");
  await fails(redis.incr(key), "not an integer");
  await redis.set(key, 5, { ex: 100 });
  assert.equal(await redis.incr(key), 6);
  assert.ok((await redis.ttl(key)) > 50);
});

test("no increment is lost", async () => {
  const key = fresh("contended");
  const results = await Promise.all(Array.from({ length: 8 }, () => oneByOne.incr(key)));
  assert.deepEqual(results.sort((one, other) => one - other), [1, 2, 3, 4, 5, 6, 7, 8]);
});

test("parts of strings", async () => {
  const key = fresh("text");
  assert.equal(await redis.append(key, "ab"), 2);
  assert.equal(await redis.append(key, "cü"), 5);
  assert.equal(await redis.strlen(key), 5);
  assert.equal(await redis.get(key), "abcü");
  assert.equal(await redis.getset(key, "new"), "abcü");
  assert.equal(await redis.getdel(key), "new");
  assert.equal(await redis.getdel(key), null);
  assert.equal(await redis.setnx(key, "1"), 1);
  assert.equal(await redis.setnx(key, "2"), 0);
});

test("several keys at once", async () => {
  const [a, b, c] = [fresh("a"), fresh("b"), fresh("c")];
  assert.equal(await redis.mset({ [a]: "1", [b]: { deep: true } }), "OK");
  assert.deepEqual(await redis.mget(a, c, b), [1, null, { deep: true }]);
  assert.equal(await redis.msetnx({ [b]: "x", [c]: "y" }), 0);
  assert.equal(await redis.exists(c), 0);
  assert.equal(await redis.msetnx({ [c]: "y" }), 1);
  assert.equal(await redis.exists(a, a, c, fresh("none")), 3);
  assert.equal(await redis.del(a, b, a, fresh("none")), 2);
  assert.equal(await redis.unlink(c), 1);
});

test("keys are found by patterns", async () => {
  const base = fresh("keys");
  await redis.mset({ [`${base}:a1`]: 1, [`${base}:a2`]: 2, [`${base}:b1`]: 3 });
  assert.deepEqual((await redis.keys(`${base}:a?`)).sort(), [`${base}:a1`, `${base}:a2`]);
  assert.deepEqual((await redis.keys(`${base}*[12]`)).sort(), [`${base}:a1`, `${base}:a2`, `${base}:b1`]);
  assert.deepEqual(await redis.keys(`${base}:x*`), []);
  let [cursor, found] = ["0", []];
  do {
    const [next, keys] = await redis.scan(cursor, { match: `${base}:*`, count: 2 });
    [cursor, found] = [next, found.concat(keys)];
  } while (cursor !== "0");
  assert.deepEqual(found.sort(), [`${base}:a1`, `${base}:a2`, `${base}:b1`]);
  assert.ok((await redis.dbsize()) >= 3);
});

test("lists", async () => {
  const key = fresh("list");
  assert.equal(await redis.lpushx(key, "no"), 0);
  assert.equal(await redis.rpush(key, "b", "c"), 2);
  assert.equal(await redis.lpush(key, "a", { z: 1 }), 4);
  assert.deepEqual(await redis.lrange(key, 0, -1), [{ z: 1 }, "a", "b", "c"]);
  assert.equal(await redis.llen(key), 4);
  assert.deepEqual(await redis.lindex(key, -1), "c");
  assert.equal(await redis.lindex(key, 9), null);
  assert.equal(await redis.lset(key, 0, "first"), "OK");
  await fails(redis.lset(key, 9, "x"), "index out of range");
  assert.equal(await redis.linsert(key, "before", "b", "new"), 5);
  assert.equal(await redis.linsert(key, "after", "none", "new"), -1);
  assert.equal(await redis.linsert(fresh("none"), "after", "a", "b"), 0);
  assert.equal(await redis.lrem(key, 1, "new"), 1);
  assert.equal(await redis.ltrim(key, 0, 2), "OK");
  assert.equal(await redis.lpop(key), "first");
  assert.deepEqual(await redis.rpop(key, 5), ["b", "a"]);
  assert.equal(await redis.rpop(key), null);
  assert.equal(await redis.llen(key), 0);
});

test("sets", async () => {
  const [one, two, all] = [fresh("one"), fresh("two"), fresh("all")];
  assert.equal(await redis.sadd(one, "a", "b", "b"), 2);
  assert.equal(await redis.sadd(two, "b", "c"), 2);
  assert.equal(await redis.sismember(one, "a"), 1);
  assert.deepEqual(await redis.smismember(one, ["a", "x"]), [1, 0]);
  assert.deepEqual((await redis.smembers(one)).sort(), ["a", "b"]);
  assert.equal(await redis.scard(one), 2);
  assert.deepEqual((await redis.sunion(one, two)).sort(), ["a", "b", "c"]);
  assert.deepEqual(await redis.sinter(one, two), ["b"]);
  assert.deepEqual(await redis.sdiff(one, two), ["a"]);
  assert.equal(await redis.sunionstore(all, one, two), 3);
  assert.equal(await redis.sinterstore(all, one, two), 1);
  assert.equal(await redis.sdiffstore(all, one, one), 0);
  assert.equal(await redis.srem(one, "a", "x"), 1);
  assert.equal(await redis.srandmember(one), "b");
  assert.deepEqual((await redis.srandmember(two, 2)).sort(), ["b", "c"]);
  assert.equal(await redis.spop(one), "b");
  assert.equal(await redis.spop(one), null);
  assert.deepEqual((await redis.spop(two, 5)).sort(), ["b", "c"]);
});

test("sorted sets", async () => {
  const key = fresh("scores");
  assert.equal(await redis.zadd(key, { score: 1, member: "a" }, { score: 2.5, member: "b" }, { score: -1, member: "c" }), 3);
  assert.deepEqual(await redis.zrange(key, 0, -1), ["c", "a", "b"]);
  assert.deepEqual(await redis.zrange(key, 0, 0, { rev: true, withScores: true }), ["b", 2.5]);
  assert.deepEqual(await redis.zrange(key, 0, "+inf", { byScore: true, withScores: true }), ["a", 1, "b", 2.5]);
  assert.deepEqual(await redis.zrange(key, "(1", "+inf", { byScore: true }), ["b"]);
  assert.deepEqual(await redis.zrange(key, "+inf", "-inf", { byScore: true, rev: true, offset: 1, count: 1 }), ["a"]);
  assert.equal(await redis.zcount(key, 0, 2), 1);
  assert.equal(await redis.zcard(key), 3);
  assert.equal(await redis.zscore(key, "b"), 2.5);
  assert.equal(await redis.zscore(key, "x"), null);
  assert.deepEqual(await redis.zmscore(key, ["a", "x"]), [1, null]);
  assert.equal(await redis.zrank(key, "a"), 1);
  assert.equal(await redis.zrevrank(key, "a"), 1);
  assert.equal(await redis.zrank(key, "x"), null);
  assert.equal(await redis.zincrby(key, 2, "a"), 3);
  assert.equal(await redis.zadd(key, { nx: true }, { score: 9, member: "a" }), 0);
  assert.equal(await redis.zadd(key, { xx: true, ch: true }, { score: 9, member: "a" }), 1);
  assert.equal(await redis.zadd(key, { incr: true }, { score: 1, member: "a" }), 10);
  assert.equal(await redis.zadd(key, { gt: true, ch: true }, { score: 1, member: "a" }), 0);
  assert.equal(await redis.zrem(key, "a", "x"), 1);
});

test("keys of every kind are found and deleted", async () => {
  const [text, list, set, sorted] = [fresh("text"), fresh("list"), fresh("set"), fresh("sorted")];
  await redis.set(text, "a");
  await redis.rpush(list, "a", "b");
  await redis.sadd(set, "a", "b");
  await redis.zadd(sorted, { score: 1, member: "a" });
  const types = await Promise.all([text, list, set, sorted, fresh("none")].map((key) => oneByOne.type(key)));
  assert.deepEqual(types, ["string", "list", "set", "zset", "none"]);
  assert.equal(await redis.exists(text, list, set, sorted), 4);
  assert.equal(await redis.del(text, list, set, sorted, fresh("none")), 4);
  assert.equal(await redis.exists(text, list, set, sorted), 0);
  assert.deepEqual([await redis.llen(list), await redis.scard(set), await redis.zcard(sorted)], [0, 0, 0]);
});

test("a pipeline runs its commands in order", async () => {
  const key = fresh("pipeline");
  const results = await redis.pipeline().set(key, 1).incr(key).get(key).del(key).get(key).exec();
  assert.deepEqual(results, ["OK", 2, 2, 1, null]);
});

test("a command that fails does not stop the others", async () => {
  const key = fresh("pipeline");
  const results = await redis.pipeline().set(key, "text").incr(key).get(key).exec({ keepErrors: true });
  assert.deepEqual([results[0].result, results[2].result], ["OK", "text"]);
  assert.match(results[1].error, /not an integer/);
  await fails(redis.pipeline().set(key, "text").incr(key).exec(), "Command 2", "not an integer");
});

test("commands at the same time become a pipeline", async () => {
  const keys = Array.from({ length: 20 }, (_, index) => fresh(`auto${index}`));
  assert.deepEqual(await Promise.all(keys.map((key, index) => redis.set(key, index))), keys.map(() => "OK"));
  assert.deepEqual(await Promise.all(keys.map((key) => redis.get(key))), keys.map((_, index) => index));
});

test("transactions and unknown commands are refused", async () => {
  await fails(redis.multi().set(fresh("a"), 1).exec(), "transactions are not supported");
  await fails(redis.hset(fresh("hash"), { a: 1 }), "'hset' is not supported");
  await fails(redis.set("", "x"));
});

test("PING and ECHO", async () => {
  assert.equal(await redis.ping(), "PONG");
  assert.equal(await redis.echo("grüße"), "grüße");
});

test("commands are paths", async () => {
  const key = fresh("path");
  assert.deepEqual(await raw("GET", `/set/${key}/hello%2Fworld`), { status: 200, type: "application/json", body: { result: "OK" } });
  assert.deepEqual((await raw("GET", `/get/${key}`)).body, { result: "hello/world" });
  assert.deepEqual((await raw("GET", `/GET/${key}`, undefined, { "upstash-encoding": "base64" })).body, { result: "aGVsbG8vd29ybGQ=" });
  assert.deepEqual((await raw("GET", `/set/${key}/x?EX=100`)).body, { result: "OK" });
  assert.ok((await raw("GET", `/ttl/${key}`)).body.result > 50);
  assert.deepEqual((await raw("GET", `/set/${key}/y?NX`)).body, { result: null });
  assert.deepEqual((await raw("POST", `/set/${key}`, "a body\nas it is")).body, { result: "OK" });
  assert.deepEqual((await raw("GET", `/get/${key}`)).body, { result: "a body\nas it is" });
  assert.deepEqual((await raw("GET", `/get/${fresh("none")}`)).body, { result: null });
  assert.deepEqual((await raw("POST", `/lpush/${key}-list/a/b`, "c")).body, { result: 3 });
});

test("commands are JSON arrays", async () => {
  const key = fresh("array");
  assert.deepEqual((await raw("POST", "/", JSON.stringify(["SET", key, "1", "EX", "100"]))).body, { result: "OK" });
  assert.deepEqual((await raw("POST", "/", JSON.stringify(["incrby", key, 4]))).body, { result: 5 });
  const pipeline = JSON.stringify([["GET", key], ["NOPE"], ["GET"]]);
  const { status, body } = await raw("POST", "/pipeline", pipeline);
  assert.equal(status, 200);
  assert.deepEqual(body[0], { result: "5" });
  assert.match(body[1].error, /^ERR .*'NOPE' is not supported/);
  assert.equal(body[2].error, "ERR wrong number of arguments for 'get' command");
});

test("errors have the member error", async () => {
  for (const [method, path, body, status, words] of [
    ["GET", "/get/a/b", undefined, 400, /wrong number of arguments for 'get' command/],
    ["POST", "/", "[]", 400, /./],
    ["POST", "/", "{", 400, /./],
    ["POST", "/", JSON.stringify([["GET", "a"]]), 400, /./],
    ["POST", "/", JSON.stringify(["SET", "a", "b", "WHAT"]), 400, /^ERR syntax error$/],
    ["POST", "/pipeline", JSON.stringify(["GET"]), 400, /./],
    ["POST", "/multi-exec", "[]", 501, /transactions are not supported/],
    ["GET", "/hget/a/b", undefined, 501, /'hget' is not supported/],
  ]) {
    const answer = await raw(method, path, body);
    assert.equal(answer.status, status, `${path} ${body} ${JSON.stringify(answer.body)}`);
    assert.match(answer.body.error, words);
  }
});

test("a wrong token is refused", async () => {
  const response = await fetch(`${url}/get/a`, { headers: { authorization: "Bearer wrong" } });
  assert.deepEqual([response.status, await response.json()], [401, { error: "Unauthorized" }]);
  await fails(new Redis({ url, token: "wrong", enableTelemetry: false }).get("a"), "Unauthorized");
});
