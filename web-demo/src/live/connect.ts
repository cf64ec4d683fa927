import { message } from "../api";
import { METHOD, type StreamRecord, type Transport, readRequest } from "./stream";

const END_OF_STREAM = 2;
const PREFIX = 5;

/** Frames a message: a flag, the length, the bytes. */
function frame(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(text);
  const out = new Uint8Array(PREFIX + bytes.length);
  new DataView(out.buffer).setUint32(1, bytes.length);
  out.set(bytes, PREFIX);
  return out;
}

/** Splits a body into frames. */
async function* frames(body: ReadableStream<Uint8Array>, mayRead: () => Promise<void>) {
  const reader = body.getReader();
  let rest = new Uint8Array();
  for (;;) {
    await mayRead();
    const { done, value } = await reader.read();
    if (done) return;
    const joined = new Uint8Array(rest.length + value.length);
    joined.set(rest);
    joined.set(value, rest.length);
    rest = joined;
    while (rest.length >= PREFIX) {
      const end = PREFIX + new DataView(rest.buffer, rest.byteOffset).getUint32(1);
      if (rest.length < end) break;
      yield { flag: rest[0] ?? 0, text: new TextDecoder().decode(rest.subarray(PREFIX, end)) };
      rest = rest.slice(end);
    }
  }
}

/** The Connect protocol over fetch. A pause reads nothing, and so the gateway reads nothing from its backend. */
export const connect: Transport = (place, handlers) => {
  const abort = new AbortController();
  let wake: (() => void) | undefined;
  let paused: Promise<void> = Promise.resolve();
  const run = async () => {
    handlers.status("connecting");
    const response = await fetch(`${place.base}/${METHOD}`, {
      method: "POST",
      headers: { "content-type": "application/connect+json", "connect-protocol-version": "1" },
      body: frame(JSON.stringify(readRequest(place))),
      signal: abort.signal,
    });
    if (!response.ok || !response.body) throw new Error(`status ${response.status}`);
    handlers.status("live");
    for await (const { flag, text } of frames(response.body, () => paused)) {
      await paused;
      if ((flag & END_OF_STREAM) !== 0) {
        const { error } = JSON.parse(text) as { error?: { message: string } };
        throw new Error(error?.message ?? "the stream has ended");
      }
      handlers.record((JSON.parse(text) as { record: StreamRecord }).record);
    }
    throw new Error("the connection was lost");
  };
  run().catch((error: unknown) => {
    if (!abort.signal.aborted) handlers.status("failed", message(error));
  });
  return {
    pause: () => {
      paused = new Promise((resolve) => (wake = resolve));
      handlers.status("paused");
    },
    resume: () => {
      wake?.();
      handlers.status("live");
    },
    close: () => {
      wake?.();
      abort.abort();
      handlers.status("disconnected");
    },
  };
};
