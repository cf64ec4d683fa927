import { METHOD, type StreamRecord, type Transport, readRequest } from "./stream";

/** How many records the gateway may send ahead. */
const CREDITS = 16;

interface ServerFrame {
  id: number;
  message?: { record: StreamRecord };
  end?: { error?: { message: string } };
  goAway?: { reason: string };
}

/** A call with credits on a WebSocket connection. A pause is a call without credits. */
export const webSocket: Transport = (place, handlers) => {
  const url = new URL(`${place.base}/websocket`, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(url, "prism.v1.json");
  const send = (frame: object) => socket.send(JSON.stringify(frame));
  let isPaused = false;
  let isClosed = false;
  /** Records that were received and not paid for with new credits. */
  let owed = 0;
  handlers.status("connecting");
  socket.onopen = () => {
    send({ id: 1, call: { method: METHOD, credits: isPaused ? 0 : CREDITS }, message: readRequest(place) });
    handlers.status(isPaused ? "paused" : "live");
  };
  socket.onmessage = ({ data }) => {
    const { message, end, goAway } = JSON.parse(data as string) as ServerFrame;
    if (message) {
      owed += 1;
      handlers.record(message.record);
      if (!isPaused && owed >= CREDITS / 2) {
        send({ id: 1, credits: owed });
        owed = 0;
      }
    }
    if (goAway) handlers.status("live", goAway.reason);
    if (end) handlers.status("failed", end.error?.message ?? "the stream has ended");
  };
  socket.onclose = ({ code, reason }) => {
    if (!isClosed) handlers.status("failed", `closed with ${code} ${reason}`);
  };
  return {
    pause: () => {
      isPaused = true;
      handlers.status("paused");
    },
    resume: () => {
      isPaused = false;
      if (socket.readyState === WebSocket.OPEN) {
        // Also the credits that were not used are still there.
        if (owed > 0) send({ id: 1, credits: owed });
        owed = 0;
        handlers.status("live");
      }
    },
    close: () => {
      isClosed = true;
      socket.close(1000);
      handlers.status("disconnected");
    },
  };
};
