import { PrismClient } from "../../../clients/typescript/src/index";
import { message } from "../api";
import { METHOD, type StreamRecord, type Transport, readRequest } from "./stream";

/** How many records the gateway may send ahead. */
const WINDOW = 16;

/** A call on a WebSocket connection. A pause reads nothing, so the gateway gets no credits. The client reconnects, and continues after the last record. */
export const webSocket: Transport = (place, handlers) => {
  let isPaused = false;
  const client = new PrismClient({
    url: new URL(`${place.base}/websocket`, location.href),
    onState: (state, error) => {
      if (state === "connected") handlers.status(isPaused ? "paused" : "live");
      if (state === "draining") handlers.status("live", "the gateway shuts down");
      if (state === "connecting" || state === "disconnected") handlers.status("connecting", error?.message);
    },
  });
  const records = client.stream<ReturnType<typeof readRequest>, { record: StreamRecord }>(METHOD, readRequest(place), { window: WINDOW });
  let wake: (() => void) | undefined;
  let paused: Promise<void> = Promise.resolve();
  let isClosed = false;
  const run = async () => {
    for await (const { record } of records) {
      await paused;
      if (!isClosed) handlers.record(record);
    }
    throw new Error("the stream has ended");
  };
  handlers.status("connecting");
  run().catch((error: unknown) => {
    if (!isClosed) handlers.status("failed", message(error));
  });
  return {
    pause: () => {
      isPaused = true;
      paused = new Promise((resolve) => (wake = resolve));
      handlers.status("paused");
    },
    resume: () => {
      isPaused = false;
      wake?.();
      handlers.status("live");
    },
    close: () => {
      isClosed = true;
      client.close();
      wake?.();
      handlers.status("disconnected");
    },
  };
};
