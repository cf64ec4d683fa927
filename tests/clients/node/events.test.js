// Server-sent events with the published client `eventsource`, which behaves as that of browsers.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { EventSource } from "eventsource";

import { url } from "./support/gateway.js";

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
