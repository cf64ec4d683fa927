import { Code, ConnectError } from "@connectrpc/connect";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { useEffect, useMemo, useState } from "preact/hooks";

import { type Namespace, message, pathOf } from "../api";
import { keyValue, overGrpcWeb } from "../rpc";
import { NamespaceSelect } from "./select";

const PAGE = 100;

interface Entry {
  key: string;
  value: Uint8Array;
  revision: bigint;
  expireTime?: Timestamp;
}

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

function Browser({ base }: { base: string }) {
  const [prefix, setPrefix] = useState("");
  const [entries, setEntries] = useState<Entry[]>([]);
  const [draft, setDraft] = useState(EMPTY);
  const [notice, setNotice] = useState("");
  const [theirs, setTheirs] = useState<{ text: string; revision: bigint }>();
  const run = (work: () => Promise<void>) => () => void work().catch((error: unknown) => setNotice(message(error)));
  const client = useMemo(() => keyValue(overGrpcWeb(base)), [base]);
  const load = async () => {
    const found: Entry[] = [];
    for await (const entry of client.scan({ prefix, limit: PAGE })) found.push(entry);
    setEntries(found);
  };
  useEffect(() => run(load)(), [prefix]);

  const edit = (entry: Entry) => {
    setTheirs(undefined);
    setNotice("");
    setDraft({ key: entry.key, text: toText(entry.value), ttl: "", revision: entry.revision });
  };
  /** Shows what is there instead of the revision that was expected. */
  const compare = async (why: string) => {
    setNotice(why);
    const [current] = (await client.retrieveBatch({ keys: [draft.key] })).results;
    setTheirs(current?.entry ? { text: toText(current.entry.value), revision: current.entry.revision } : { text: "(removed)", revision: 0n });
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
    await load();
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
    await load();
  };

  return (
    <div class="columns">
      <section aria-labelledby="keys">
        <h2 id="keys">Keys</h2>
        <p class="row">
          <label>
            Prefix <input value={prefix} onInput={(event) => setPrefix(event.currentTarget.value)} />
          </label>
          <button type="button" onClick={run(load)}>
            Refresh
          </button>
          <button type="button" onClick={() => (setDraft(EMPTY), setTheirs(undefined), setNotice(""))}>
            New value
          </button>
        </p>
        {entries.length === 0 ? (
          <p>No keys. Create one with “New value”.</p>
        ) : (
          <ul class="list">
            {entries.map((entry) => (
              <li key={entry.key}>
                <button type="button" aria-current={entry.key === draft.key} onClick={() => edit(entry)}>
                  <code>{entry.key}</code> <small>revision {entry.revision}</small>
                  {entry.expireTime && <small> expires {timestampDate(entry.expireTime).toLocaleTimeString()}</small>}
                </button>
              </li>
            ))}
          </ul>
        )}
        {entries.length === PAGE && <p>The first {PAGE} keys. Narrow them down with a prefix.</p>}
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
        <p role="status">{notice}</p>
        {theirs && (
          <div class="conflict">
            <h3>What is there now {theirs.revision !== 0n && `(revision ${theirs.revision})`}</h3>
            <pre tabIndex={0}>{theirs.text}</pre>
            <p class="row">
              <button type="button" onClick={() => (setDraft({ ...draft, text: theirs.text, revision: theirs.revision }), setTheirs(undefined), setNotice("Loaded."))}>
                Take this
              </button>
              <button type="button" onClick={run(() => write(theirs.revision))}>
                Overwrite it with mine
              </button>
            </p>
          </div>
        )}
      </section>
    </div>
  );
}
