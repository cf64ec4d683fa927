import { createClient } from "graphql-ws";

import { message } from "../api";
import { type StreamRecord, type Transport } from "./stream";

/** The subscription; `start` may only be there with a cursor. */
const query = (resumes: boolean) => `subscription ($stream: String${resumes ? ", $cursor: String!" : ""}) {
  streamBasicRead(stream: $stream, follow: true${resumes ? ", start: {cursor: $cursor}" : ""}) { record { offset payload cursor } }
}`;

interface Data {
  streamBasicRead: { record: StreamRecord };
}

/** A subscription over graphql-transport-ws. The protocol has no pause: a pause ends the subscription, and its cursor resumes it. */
export const graphql: Transport = (place, handlers) => {
  const url = new URL(`${place.base}/graphql`, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const client = createClient({ url: url.href, retryAttempts: 0 });
  let cursor = place.cursor;
  let end: (() => void) | undefined;
  const open = () => {
    handlers.status("connecting");
    let isEnded = false;
    const fail = (why: string) => {
      if (!isEnded) handlers.status("failed", why);
    };
    const unsubscribe = client.subscribe<Data>(
      { query: query(cursor !== ""), variables: { stream: place.stream, ...(cursor ? { cursor } : {}) } },
      {
        next: ({ data, errors }) => {
          if (isEnded) return;
          if (errors?.[0]) return fail(errors[0].message);
          if (!data) return;
          cursor = data.streamBasicRead.record.cursor;
          handlers.record(data.streamBasicRead.record);
        },
        error: (error) => fail(Array.isArray(error) ? error.map(message).join(", ") : "the connection was lost"),
        complete: () => fail("the stream has ended"),
      },
    );
    end = () => {
      isEnded = true;
      unsubscribe();
    };
  };
  client.on("connected", () => handlers.status("live"));
  open();
  return {
    pause: () => {
      end?.();
      handlers.status("paused");
    },
    resume: open,
    close: () => {
      end?.();
      void client.dispose();
      handlers.status("disconnected");
    },
  };
};
