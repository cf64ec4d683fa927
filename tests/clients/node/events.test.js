// Server-sent events with the published client `eventsource`, which behaves as that of browsers.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { EventSource } from "eventsource";

import { url } from "./support/gateway.js";
import { Gateway } from "./support/process.js";

const base = `${url}/events/v1/stream_basic`;

/** Appends records with these texts. */
async function append(stream, texts) {
  for (const text of texts) {
    const body = JSON.stringify({ stream, payload: btoa(text) });
    const answer = await fetch(`${base}/Append`, { method: "POST", headers: { "content-type": "application/json" }, body });
    assert.equal(answer.status, 200, await answer.text());
  }
}

/** Returns a promise of the first events of a source, each with its text and its id. */
function take(source, count) {
  const events = [];
  return new Promise((resolve, reject) => {
    source.addEventListener("message", ({ data, lastEventId }) => {
      events.push({ text: atob(JSON.parse(data).record.payload), id: lastEventId });
      if (events.length === count) resolve(events);
    });
    source.addEventListener("error", (error) => source.readyState === EventSource.CLOSED && reject(error));
  });
}

const texts = (events) => events.map(({ text }) => text);

/** Fetches, and breaks each of the first responses off after an event with this text. */
function breaking(after, requests) {
  return async (input, init) => {
    requests.push(init.headers);
    const response = await fetch(input, init);
    const mark = btoa(after.shift() ?? "never");
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const body = new ReadableStream({
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) return controller.close();
        controller.enqueue(value);
        if (decoder.decode(value).includes(mark)) {
          await reader.cancel();
          controller.close();
        }
      },
    });
    return new Response(body, { status: response.status, headers: response.headers });
  };
}

describe("EventSource", () => {
  test("follows a stream", async () => {
    await append("follow", ["a"]);
    const source = new EventSource(`${base}/Read?stream=follow&follow=true`);
    const events = take(source, 3);
    await append("follow", ["b", "c"]);
    assert.deepEqual(texts(await events), ["a", "b", "c"]);
    source.close();
  });

  test("resumes after interruptions without loss and without duplicates", async () => {
    const all = Array.from({ length: 9 }, (_, index) => `record ${index}`);
    const requests = [];
    await append("resume", all.slice(0, 3));
    const source = new EventSource(`${base}/Read?stream=resume&follow=true`, { fetch: breaking([all[2], all[5]], requests) });
    const events = take(source, all.length);
    await append("resume", all.slice(3));
    const received = await events;
    assert.deepEqual(texts(received), all);
    assert.equal(new Set(received.map(({ id }) => id)).size, all.length, "each event has an id of its own");
    assert.ok(requests.length >= 2, "it was interrupted");
    assert.ok(requests.slice(1).every((headers) => headers["Last-Event-ID"]), JSON.stringify(requests));
    source.close();
  });

  test("begins after the cursor in the query", async () => {
    await append("cursor", ["a", "b", "c"]);
    const first = new EventSource(`${base}/Read?stream=cursor&follow=true`);
    const [{ id }] = await take(first, 1);
    first.close();
    const second = new EventSource(`${base}/Read?stream=cursor&follow=true&cursor=${encodeURIComponent(id)}`);
    assert.deepEqual(texts(await take(second, 2)), ["b", "c"]);
    second.close();
  });

  test("posts its request", async () => {
    await append("post", ["a"]);
    const post = (input, init) =>
      fetch(input, {
        ...init,
        method: "POST",
        headers: { ...init.headers, "content-type": "application/json" },
        body: JSON.stringify({ stream: "post", follow: true }),
      });
    const source = new EventSource(`${base}/Read`, { fetch: post });
    assert.deepEqual(texts(await take(source, 1)), ["a"]);
    source.close();
  });

  test("stops at the end of a stream that does not follow", async () => {
    await append("finite", ["a"]);
    const source = new EventSource(`${base}/Read?stream=finite`);
    const texts = [];
    source.addEventListener("message", ({ data }) => texts.push(atob(JSON.parse(data).record.payload)));
    const code = await new Promise((resolve) => {
      source.addEventListener("error", (error) => source.readyState === EventSource.CLOSED && resolve(error.code));
    });
    assert.equal(code, 204);
    assert.deepEqual(texts, ["a"]);
  });

  test("gets events with names, and messages of a topic without", async () => {
    const source = new EventSource(`${url}/events/v1/pubsub_basic/Subscribe?topic=news`);
    await new Promise((resolve) => source.addEventListener("subscribed", resolve));
    const message = new Promise((resolve) => source.addEventListener("message", ({ data }) => resolve(JSON.parse(data))));
    const body = JSON.stringify({ topic: "news", payload: btoa("hello") });
    await fetch(`${url}/events/v1/pubsub_basic/Publish`, { method: "POST", headers: { "content-type": "application/json" }, body });
    assert.equal(atob((await message).message.payload), "hello");
    source.close();
  });
});

describe("EventSource with tickets", () => {
  const config = `
authenticators: {keys: {type: api-key, file: keys.yaml}}
backends: {disk: {type: sqlite, path: data.db}}
namespaces: [{name: default, pattern: keyvalue, slots: {storage: disk}, authentication: [keys]}]
tickets: {lifetime: 1s}
`;

  test("opens a stream, and continues with a new ticket after the gateway was killed", async (t) => {
    let key;
    const gateway = await Gateway.start(t, config, async (gateway) => {
      key = (await gateway.run("auth", "key", "create", "--subject", "test")).trim().split(/\s+/).at(-1);
    });
    const stream = `${gateway.url}/default/v1/watch`;
    const store = (name) => fetch(`${gateway.url}/default/v1/values/${name}`, { method: "PUT", headers: { "x-api-key": key }, body: name });
    const open = async (cursor) => {
      const answer = await fetch(stream, { method: "POST", headers: { "x-api-key": key, accept: "application/vnd.prism.ticket+json" } });
      assert.equal(answer.status, 200);
      const { ticket } = await answer.json();
      return new EventSource(`${stream}?${new URLSearchParams({ ticket, ...(cursor ? { cursor } : {}) })}`);
    };
    const next = (source, name) => new Promise((resolve) => source.addEventListener(name, resolve, { once: true }));
    const first = await open();
    await next(first, "caught_up");
    // The event may come before the answer.
    const stored = next(first, "stored");
    await store("a");
    const { data, lastEventId } = await stored;
    assert.equal(JSON.parse(data).stored.key, "a");
    const refused = new Promise((resolve) => first.addEventListener("error", () => first.readyState === EventSource.CLOSED && resolve()));
    await gateway.end("SIGKILL");
    await gateway.start();
    await store("b");
    // The gateway has another key now, and the ticket has expired: the client gives up, and the page gets a new ticket.
    await refused;
    const second = await open(lastEventId);
    const event = await next(second, "stored");
    assert.equal(JSON.parse(event.data).stored.key, "b");
    second.close();
  });
});

describe("EventSource of several topics", () => {
  const config = `
backends: {disk: {type: sqlite, path: data.db}}
namespaces:
  - {name: orders, pattern: producer, slots: {messaging: disk, ids: disk}}
  - {name: billing, pattern: consumer, slots: {messaging: {backend: disk, keyspace: orders}, progress: disk}}
`;

  test("continues all of them by one id when the gateway is killed", async (t) => {
    const gateway = await Gateway.start(t, config);
    const publish = async (topic, from, to) => {
      for (let number = from; number < to; number++) {
        const answer = await fetch(`${gateway.url}/orders/v1/topics/${topic}:publish`, { method: "POST", body: `${topic} ${number}` });
        assert.equal(answer.status, 200, await answer.text());
      }
    };
    const topics = ["orders.eu", "orders.us", "orders.asia"];
    await publish("orders.eu", 0, 3);
    const source = new EventSource(`${gateway.url}/billing/v1/messages?${topics.map((topic) => `topics=${topic}`).join("&")}`);
    const received = [];
    const waiting = [];
    source.addEventListener("message", ({ data }) => {
      const { topic, message } = JSON.parse(data);
      received.push(atob(message.payload));
      assert.ok(received.at(-1).startsWith(`${topic} `), data);
      for (const one of waiting) if (received.length >= one.count) one.resolve();
    });
    const reached = (count) => new Promise((resolve) => (received.length >= count ? resolve() : waiting.push({ count, resolve })));
    await reached(3);
    await publish("orders.us", 0, 4);
    await reached(7);
    await gateway.end("SIGKILL");
    await gateway.start();
    for (const topic of topics) await publish(topic, 10, 15);
    await reached(22);
    source.close();
    const expected = [...[0, 1, 2].map((number) => `orders.eu ${number}`), ...[0, 1, 2, 3].map((number) => `orders.us ${number}`)];
    for (const topic of topics) expected.push(...[10, 11, 12, 13, 14].map((number) => `${topic} ${number}`));
    assert.deepEqual(received.toSorted(), expected.toSorted());
  });
});
