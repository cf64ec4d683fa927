import { useEffect, useRef, useState } from "preact/hooks";

import { type Namespace, fromBase64, getJson, message, pathOf, postJson, toBase64 } from "../api";
import { connect, grpcWeb } from "../live/calls";
import { graphql } from "../live/graphql";
import { sse } from "../live/sse";
import type { Status, StreamRecord, Subscription, Transport } from "../live/stream";
import { webSocket } from "../live/websocket";
import { NamespaceSelect } from "./select";

const TRANSPORTS: { name: string; pause: string; transport: Transport }[] = [
  { name: "Server-sent events", pause: "A pause closes the connection; the cursor resumes it.", transport: sse },
  { name: "WebSocket", pause: "A pause gives no credits; the connection stays.", transport: webSocket },
  { name: "GraphQL", pause: "A pause ends the subscription; the cursor resumes it.", transport: graphql },
  { name: "Connect", pause: "A pause reads nothing; the connection stays.", transport: connect },
  { name: "gRPC-Web", pause: "A pause reads nothing; the connection stays.", transport: grpcWeb },
];

const SHOWN = 12;
const EVERY_MS = 500;

const NEEDED = ["rest", "connect", "grpc-web", "websocket", "graphql"];

/** One stream over five protocols at once. */
export function StreamsPage({ namespaces }: { namespaces: Namespace[] }) {
  const has = (namespace: Namespace) => NEEDED.every((frontend) => pathOf(namespace, frontend) !== undefined);
  const usable = namespaces.filter((namespace) => namespace.pattern === "interfaces" && has(namespace));
  const [chosen, choose] = useState(usable[0]?.name ?? "");
  const namespace = usable.find(({ name }) => name === chosen);
  if (!namespace) return <p>No namespace has the pattern interfaces, and the frontends {NEEDED.join(", ")}.</p>;
  return (
    <>
      <p class="lead">
        The same stream over five protocols. Publish records, and pause or disconnect one of the readers: when it resumes, it continues after its last cursor, and nothing is lost.
      </p>
      <NamespaceSelect namespaces={usable} chosen={chosen} choose={choose} />
      <Stream key={chosen} base={pathOf(namespace, "rest") ?? ""} />
    </>
  );
}

function Stream({ base }: { base: string }) {
  const [stream] = useState("demo");
  const [text, setText] = useState("hello");
  const [isRunning, setRunning] = useState(false);
  const [published, setPublished] = useState(0);
  const [notice, setNotice] = useState("");
  const [first, setFirst] = useState<bigint>();
  useEffect(() => {
    // Readers count from here, so that they can be compared.
    getJson<{ nextOffset: string }>(`${base}/v1/stream_basic/GetLatestOffset?stream=${stream}`).then(
      ({ nextOffset }) => setFirst(BigInt(nextOffset)),
      (error: unknown) => setNotice(message(error)),
    );
  }, [base]);
  const publish = (payload: string) =>
    postJson(`${base}/v1/stream_basic/Append`, { stream, payload: toBase64(payload) }).then(
      () => setPublished((count) => count + 1),
      (error: unknown) => (setRunning(false), setNotice(message(error))),
    );
  useEffect(() => {
    if (!isRunning) return;
    let count = 0;
    const timer = setInterval(() => void publish(`tick ${++count}`), EVERY_MS);
    return () => clearInterval(timer);
  }, [isRunning]);
  return (
    <>
      <form class="row" onSubmit={(event) => (event.preventDefault(), void publish(text))}>
        <label>
          Record <input value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        <button type="submit">Publish</button>
        <button type="button" aria-pressed={isRunning} onClick={() => setRunning(!isRunning)}>
          {isRunning ? "Stop publishing" : "Publish two each second"}
        </button>
        <output>{published} published</output>
      </form>
      {notice && <p role="alert">{notice}</p>}
      {first !== undefined && (
        <div class="columns many">
          {TRANSPORTS.map((one) => (
            <Reader key={one.name} {...one} base={base} stream={stream} first={first} published={published} />
          ))}
        </div>
      )}
    </>
  );
}

interface Received {
  count: number;
  duplicates: number;
  last: bigint;
  shown: StreamRecord[];
}

function Reader(props: { name: string; pause: string; transport: Transport; base: string; stream: string; first: bigint; published: number }) {
  const { name, transport, base, stream, first, published } = props;
  const [status, setStatus] = useState<Status>("disconnected");
  const [detail, setDetail] = useState("");
  const [received, setReceived] = useState<Received>({ count: 0, duplicates: 0, last: first - 1n, shown: [] });
  const cursor = useRef("");
  const subscription = useRef<Subscription>();
  const open = () => {
    subscription.current = transport(
      { base, stream, cursor: cursor.current },
      {
        record: (record) => {
          cursor.current = record.cursor;
          const offset = BigInt(record.offset);
          // Records of earlier visits are not counted.
          if (offset < first) return;
          setReceived(({ count, duplicates, last, shown }) =>
            offset <= last
              ? { count, duplicates: duplicates + 1, last, shown }
              : { count: count + 1, duplicates, last: offset, shown: [record, ...shown].slice(0, SHOWN) },
          );
        },
        status: (next, why) => {
          setStatus(next);
          setDetail(why ?? "");
        },
      },
    );
  };
  useEffect(() => {
    open();
    return () => subscription.current?.close();
  }, []);
  const isOpen = status === "connecting" || status === "live" || status === "paused";
  return (
    <section aria-labelledby={`reader-${name}`} class="reader">
      <h2 id={`reader-${name}`}>{name}</h2>
      <p role="status">
        <span class={status === "live" ? "good" : status === "failed" ? "bad" : "fair"} aria-hidden="true">
          ●
        </span>{" "}
        {status}
        {detail && `: ${detail}`}
      </p>
      <p class="row">
        {status === "paused" ? (
          <button type="button" onClick={() => subscription.current?.resume()}>
            Continue<span class="hidden"> {name}</span>
          </button>
        ) : (
          <button type="button" disabled={status !== "live"} onClick={() => subscription.current?.pause()}>
            Pause<span class="hidden"> {name}</span>
          </button>
        )}
        {isOpen ? (
          <button type="button" onClick={() => subscription.current?.close()}>
            Disconnect<span class="hidden"> {name}</span>
          </button>
        ) : (
          <button type="button" onClick={open}>
            Resume<span class="hidden"> {name}</span>
          </button>
        )}
      </p>
      <dl>
        <dt>Received</dt>
        <dd>{received.count}</dd>
        <dt>Still to come</dt>
        <dd>{Math.max(0, published - received.count)}</dd>
        <dt>Twice</dt>
        <dd>{received.duplicates}</dd>
      </dl>
      <small>{props.pause}</small>
      <ol class="records">
        {received.shown.map((record) => (
          <li key={record.offset}>
            <code>{record.offset}</code> {fromBase64(record.payload)}
          </li>
        ))}
      </ol>
    </section>
  );
}
