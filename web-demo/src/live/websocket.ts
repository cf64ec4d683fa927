import { PrismClient } from "../../../clients/typescript/src/index";
import { message } from "../api";
import { METHOD, Pause, type StreamRecord, type Transport, readRequest } from "./stream";

/** How many records the gateway may send ahead. */
const WINDOW = 16;

/** A call on a WebSocket connection. A pause reads nothing, so the gateway gets no credits. The client reconnects, and continues after the last record. */
export const webSocket: Transport = (place, handlers) => {
  const pause = new Pause();
  const client = new PrismClient({
    url: new URL(`${place.base}/websocket`, location.href),
    onState: (state, error) => {
      if (state === "connected") handlers.status(pause.isActive ? "paused" : "live");
      if (state === "draining") handlers.status(pause.isActive ? "paused" : "live", "the gateway shuts down");
      if (state === "connecting" || state === "disconnected") handlers.status("connecting", error?.message);
    },
  });
  const records = client.stream<ReturnType<typeof readRequest>, { record: StreamRecord }>(METHOD, readRequest(place), { window: WINDOW });
  let isClosed = false;
  const run = async () => {
    for await (const { record } of records) {
      await pause.over();
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
      pause.begin();
      handlers.status("paused");
    },
    resume: () => {
      pause.end();
      handlers.status("live");
    },
    close: () => {
      isClosed = true;
      client.close();
      pause.end();
      handlers.status("disconnected");
    },
  };
};
