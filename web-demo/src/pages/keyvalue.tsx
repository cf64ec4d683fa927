import { Code, ConnectError } from "@connectrpc/connect";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { type Namespace, message, pathOf } from "../api";
import { type WatchEvent, type WatchState, watch } from "../live/watch";
import { keyValue, overGrpcWeb } from "../rpc";
import { type Entry, NO_ROWS, PAGE, apply, toRows, withoutOldMarks } from "./rows";
import { NamespaceSelect } from "./select";

/** How long a row shows that it has changed. */
const MARK_MS = 4000;
/** How long the page waits for further letters of a prefix, and for further removals. */
const PATIENCE_MS = 250;

/** What is edited. The revision is 0 for a new value. */
interface Draft {
  key: string;
  text: string;
  ttl: string;
  revision: bigint;
}

const EMPTY: Draft = { key: "", text: "", ttl: "", revision: 0n };

const toText = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** What a rejected condition is called: the revision was another one. */
const isConflict = (error: unknown) => {
  const { code } = ConnectError.from(error);
  return code === Code.Aborted || code === Code.FailedPrecondition || code === Code.AlreadyExists;
};

/** Browses and edits the values of a KeyValue namespace. */
export function KeyValuePage({ namespaces }: { namespaces: Namespace[] }) {
  const usable = namespaces.filter((namespace) => namespace.pattern === "keyvalue" && pathOf(namespace, "grpc-web") !== undefined);
  const [chosen, choose] = useState(usable[0]?.name ?? "");
  const namespace = usable.find(({ name }) => name === chosen);
  if (!namespace) return <p>No namespace has the pattern keyvalue and the frontend grpc-web.</p>;
  return (
    <>
      <NamespaceSelect namespaces={usable} chosen={chosen} choose={choose} />
      <Browser key={chosen} base={pathOf(namespace, "grpc-web") ?? ""} />
    </>
  );
}

/** What a state of the watch is called, and its color. */
const STATES: Record<WatchState, { color: string; text: string }> = {
  connecting: { color: "fair", text: "connecting" },
  live: { color: "good", text: "live" },
  reconnecting: { color: "fair", text: "reconnecting" },
  unavailable: { color: "fair", text: "not available for this backend; use “Refresh”" },
  failed: { color: "bad", text: "failed" },
};

/** A value as others have left it. The revision is 0 if it was removed. */
interface Theirs {
  key: string;
  text: string;
  revision: bigint;
}

/** The value of a key after a change. */
function toTheirs(event: WatchEvent): Theirs | undefined {
  if (event.case === "removed") return { key: event.value.key, text: "(removed)", revision: 0n };
  if (event.case === "stored" || event.case === "entry") return { key: event.value.key, text: toText(event.value.value), revision: event.value.revision };
  return undefined;
}

/** The first keys with a prefix, which change as others write. */
function useRows(client: ReturnType<typeof keyValue>, prefix: string, changed: (event: WatchEvent) => void) {
  const [rows, setRows] = useState(NO_ROWS);
  const [last, setState] = useState<{ prefix: string; name: WatchState; detail: string }>();
  /** That of the watch of another prefix says nothing. */
  const state = last?.prefix === prefix ? last : { name: "connecting" as const, detail: "" };
  const [changes, setChanges] = useState(0);
  /** Changes that come during each scan, which may have read their keys before. */
  const duringScans = useRef(new Set<WatchEvent[]>());
  const load = async (): Promise<void> => {
    const found: Entry[] = [];
    const missed: WatchEvent[] = [];
    duringScans.current.add(missed);
    try {
      for await (const entry of client.scan({ prefix, limit: PAGE + 1 })) found.push(entry);
    } finally {
      duringScans.current.delete(missed);
    }
    // The prefix may have changed meanwhile.
    if (current.current.prefix === prefix) setRows(missed.reduce(apply, toRows(found)));
  };
  const current = useRef({ load, changed, prefix });
  current.current = { load, changed, prefix };
  useEffect(() => {
    let end: (() => void) | undefined;
    const handlers = {
      load,
      change: (event: WatchEvent) => {
        if (event.case !== "stored" && event.case !== "removed") return;
        for (const missed of duringScans.current) missed.push(event);
        setRows((before) => apply(before, event));
        setChanges((count) => count + 1);
        current.current.changed(event);
      },
      state: (name: WatchState, detail = "") => setState({ prefix, name, detail }),
    };
    const timer = setTimeout(() => (end = watch(client, prefix, handlers)), prefix ? PATIENCE_MS : 0);
    return () => {
      clearTimeout(timer);
      end?.();
      duringScans.current.clear();
    };
  }, [client, prefix]);
  useEffect(() => {
    const timer = setInterval(() => setRows((before) => withoutOldMarks(before, Date.now() - MARK_MS)), MARK_MS / 4);
    return () => clearInterval(timer);
  }, []);
  // A removal makes room for a key that is not known yet.
  const hasRoom = rows.hasMore && rows.list.length < PAGE;
  useEffect(() => {
    if (!hasRoom) return;
    const timer = setTimeout(() => void current.current.load().catch((error: unknown) => setState({ prefix, name: "failed", detail: message(error) })), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [hasRoom]);
  return { rows, state, changes, load };
}

function Browser({ base }: { base: string }) {
  const [prefix, setPrefix] = useState("");
  const [draft, setDraft] = useState(EMPTY);
  const [notice, setNotice] = useState("");
  const [theirs, setTheirs] = useState<Theirs>();
  const [isBusy, setBusy] = useState(false);
  const client = useMemo(() => keyValue(overGrpcWeb(base)), [base]);
  const { rows, state, changes, load } = useRows(client, prefix, (event) => {
    const latest = toTheirs(event);
    if (latest?.key === draft.key) setTheirs(latest);
  });
  const run = (work: () => Promise<void>) => () => {
    setBusy(true);
    work()
      .catch((error: unknown) => setNotice(message(error)))
      .finally(() => setBusy(false));
  };
  /** Another revision than the one that is edited. Events of the own writes come before their replies. */
  const conflict = theirs && !isBusy && theirs.key === draft.key && theirs.revision !== draft.revision ? theirs : undefined;

  /** Without a watch, nobody tells the page of its own changes. */
  const refresh = () => (state.name === "live" ? Promise.resolve() : load());
  const edit = (entry: Entry) => {
    setTheirs(undefined);
    setNotice("");
    setDraft({ key: entry.key, text: toText(entry.value), ttl: "", revision: entry.revision });
  };
  /** Shows what is there instead of the revision that was expected. */
  const compare = async (why: string) => {
    setNotice(why);
    const { key } = draft;
    const [current] = (await client.retrieveBatch({ keys: [key] })).results;
    setTheirs(current?.entry ? { key, text: toText(current.entry.value), revision: current.entry.revision } : { key, text: "(removed)", revision: 0n });
  };
  const write = async (expectedRevision: bigint) => {
    const ttl = draft.ttl ? { ttl: { seconds: BigInt(draft.ttl) } } : {};
    const value = new TextEncoder().encode(draft.text);
    try {
      const { revision } = await client.compareAndStore({ key: draft.key, value, expectedRevision, ...ttl });
      setTheirs(undefined);
      setDraft({ ...draft, ttl: "", revision });
      setNotice(`Stored as revision ${revision}.`);
    } catch (error) {
      if (!isConflict(error)) throw error;
      await compare(draft.revision ? "Somebody else has changed this value since you opened it." : "This key exists already.");
    }
    await refresh();
  };
  const save = () => write(draft.revision);
  const remove = async () => {
    try {
      await client.compareAndRemove({ key: draft.key, expectedRevision: draft.revision });
      setNotice(`Removed ${draft.key}.`);
      setDraft(EMPTY);
    } catch (error) {
      if (!isConflict(error)) throw error;
      await compare("Somebody else has changed this value since you opened it. Load it before you remove it.");
    }
    await refresh();
  };

  return (
    <div class="columns">
      <section aria-labelledby="keys">
        <h2 id="keys">Keys</h2>
        <p class="row">
          <label>
            Prefix <input value={prefix} onInput={(event) => setPrefix(event.currentTarget.value)} />
          </label>
          {state.name !== "live" && (
            <button type="button" onClick={run(load)}>
              Refresh
            </button>
          )}
          <button type="button" onClick={() => (setDraft(EMPTY), setTheirs(undefined), setNotice(""))}>
            New value
          </button>
        </p>
        <p class="row">
          <span role="status" id="watch">
            <span class={STATES[state.name].color} aria-hidden="true">
              ●
            </span>{" "}
            Changes of others: {STATES[state.name].text}
            {state.detail && ` (${state.detail})`}
          </span>
          <small>{changes} seen</small>
        </p>
        {rows.list.length === 0 ? (
          <p>No keys. Create one with “New value”.</p>
        ) : (
          <ul class="list">
            {rows.list.map(({ entry, mark }) => (
              <li key={entry.key} class={mark && "marked"}>
                <button type="button" aria-current={entry.key === draft.key} onClick={() => edit(entry)}>
                  <code>{entry.key}</code> <small>revision {entry.revision}</small>
                  {entry.expireTime && <small> expires {timestampDate(entry.expireTime).toLocaleTimeString()}</small>}
                  {mark && <small class="good"> {mark.text}</small>}
                </button>
              </li>
            ))}
          </ul>
        )}
        {rows.hasMore && <p>The first {PAGE} keys. Narrow them down with a prefix.</p>}
      </section>
      <section aria-labelledby="value">
        <h2 id="value">{draft.revision ? "Value" : "New value"}</h2>
        <form onSubmit={(event) => (event.preventDefault(), run(save)())}>
          <label>
            Key <input required value={draft.key} readOnly={draft.revision !== 0n} onInput={(event) => setDraft({ ...draft, key: event.currentTarget.value })} />
          </label>
          <label>
            Text <textarea rows={8} value={draft.text} onInput={(event) => setDraft({ ...draft, text: event.currentTarget.value })} />
          </label>
          <label>
            Expires after seconds (empty: never){" "}
            <input type="number" min="1" value={draft.ttl} onInput={(event) => setDraft({ ...draft, ttl: event.currentTarget.value })} />
          </label>
          <p class="row">
            <button type="submit">Save {draft.revision ? `if the revision is still ${draft.revision}` : "if the key does not exist"}</button>
            {draft.revision !== 0n && (
              <button type="button" onClick={run(remove)}>
                Remove
              </button>
            )}
          </p>
        </form>
        <p role="status">{notice || (conflict && "Somebody else has just changed this value.")}</p>
        {conflict && (
          <div class="conflict">
            <h3>What is there now {conflict.revision !== 0n && `(revision ${conflict.revision})`}</h3>
            <pre tabIndex={0}>{conflict.text}</pre>
            <p class="row">
              {conflict.revision !== 0n && (
                <button type="button" onClick={() => (setDraft({ ...draft, text: conflict.text, revision: conflict.revision }), setTheirs(undefined), setNotice("Loaded."))}>
                  Take this
                </button>
              )}
              <button type="button" onClick={run(() => write(conflict.revision))}>
                {conflict.revision ? "Overwrite it with mine" : "Create it again with mine"}
              </button>
            </p>
          </div>
        )}
      </section>
    </div>
  );
}
