import type { Transport as RpcTransport } from "@connectrpc/connect";

import { message, toBase64Bytes } from "../api";
import { overConnect, overGrpcWeb, stream } from "../rpc";
import { Pause, type Transport } from "./stream";

/** A call with a stream of replies. A pause reads nothing, and so the gateway reads nothing from its backend. */
const calls = (over: (base: string) => RpcTransport): Transport => (place, handlers) => {
  const abort = new AbortController();
  const pause = new Pause();
  const run = async () => {
    handlers.status("connecting");
    const start = place.cursor ? { case: "cursor" as const, value: place.cursor } : { case: undefined };
    const replies = stream(over(place.base)).read(
      { stream: place.stream, follow: true, start },
      { signal: abort.signal, onHeader: () => handlers.status("live") },
    );
    for await (const { record } of replies) {
      await pause.over();
      if (record) handlers.record({ offset: record.offset.toString(), payload: toBase64Bytes(record.payload), cursor: record.cursor });
    }
    throw new Error("the stream has ended");
  };
  run().catch((error: unknown) => {
    if (!abort.signal.aborted) handlers.status("failed", message(error));
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
      abort.abort();
      pause.end();
      handlers.status("disconnected");
    },
  };
};

export const connect = calls(overConnect);
export const grpcWeb = calls(overGrpcWeb);
