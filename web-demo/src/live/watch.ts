// A watch of the keys with a prefix. It reconnects by itself, and continues after the cursor of its last event.

import { type Client, Code, ConnectError } from "@connectrpc/connect";

import type { KeyValueService, WatchResponse } from "../../generated/prism/patterns/keyvalue/v1/keyvalue_pb";
import { message } from "../api";

export type WatchState = "connecting" | "live" | "reconnecting" | "unavailable" | "failed";

export type WatchEvent = WatchResponse["event"];

export interface WatchHandlers {
  /** Reads the keys anew: at the beginning, and when changes are missing. Changes since then follow as events. */
  load(): Promise<void>;
  /** Takes a change. It may be older than what was loaded. */
  change(event: WatchEvent): void;
  state(state: WatchState, detail?: string): void;
}

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 10_000;

/** The delay before an attempt: it doubles with each failure, and is random, so that clients do not come back together. */
const delay = (failures: number) => Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 1)) * (0.5 + Math.random());

/** Tells whether another attempt would fail in the same way. */
const isFinal = ({ code }: ConnectError) => [Code.Unimplemented, Code.Unauthenticated, Code.PermissionDenied, Code.InvalidArgument, Code.NotFound].includes(code);

/** Starts a watch, and returns a function that ends it. */
export function watch(client: Client<typeof KeyValueService>, prefix: string, handlers: WatchHandlers): () => void {
  const abort = new AbortController();
  const { signal } = abort;
  let cursor = "";
  let failures = 0;

  /** Reads events until the connection is lost. */
  const follow = async () => {
    let isLoaded = cursor !== "";
    // Only changes are watched, so that the page needs no memory for more keys than it shows.
    for await (const response of client.watch({ prefix, changesOnly: true, cursor }, { signal })) {
      if (response.event.case === "gap" || !isLoaded) {
        await handlers.load();
        if (signal.aborted) return;
        isLoaded = true;
      }
      handlers.change(response.event);
      cursor = response.cursor;
      failures = 0;
      handlers.state("live");
    }
    throw new Error("the stream has ended");
  };

  const run = async () => {
    handlers.state("connecting");
    while (!signal.aborted) {
      try {
        await follow();
      } catch (error) {
        if (signal.aborted) return;
        const failure = ConnectError.from(error);
        if (isFinal(failure)) {
          await handlers.load();
          if (signal.aborted) return;
          return failure.code === Code.Unimplemented ? handlers.state("unavailable") : handlers.state("failed", message(failure));
        }
        failures += 1;
        handlers.state("reconnecting", message(failure));
        await sleep(delay(failures), signal);
      }
    }
  };
  run().catch((error: unknown) => {
    if (!signal.aborted) handlers.state("failed", message(error));
  });
  return () => abort.abort();
}

/** Waits, but not longer than until the signal, or until the browser is online again. */
function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    addEventListener("online", done);
    signal.addEventListener("abort", done);
  });
}
