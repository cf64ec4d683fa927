import type { StreamRecord, Transport } from "./stream";

/** Server-sent events. The browser reconnects and sends the last id by itself; a pause is a connection that is closed and resumed later. */
export const sse: Transport = (place, handlers) => {
  let source: EventSource | undefined;
  let cursor = place.cursor;
  const open = () => {
    const query = new URLSearchParams({ stream: place.stream, follow: "true", ...(cursor ? { cursor } : {}) });
    source = new EventSource(`${place.base}/v1/stream_basic/Read?${query}`);
    handlers.status("connecting");
    source.onopen = () => handlers.status("live");
    source.onmessage = ({ data, lastEventId }) => {
      cursor = lastEventId;
      handlers.record((JSON.parse(data) as { record: StreamRecord }).record);
    };
    source.addEventListener("gap", ({ data }) => {
      cursor = "";
      handlers.status("live", `records are missing: ${(JSON.parse(data) as { detail: string }).detail}`);
    });
    source.onerror = () => {
      if (source?.readyState === EventSource.CLOSED) handlers.status("failed", "the gateway refused the stream");
      else handlers.status("connecting");
    };
  };
  const close = () => source?.close();
  open();
  return {
    pause: () => {
      close();
      handlers.status("paused");
    },
    resume: open,
    close: () => {
      close();
      handlers.status("disconnected");
    },
  };
};
