import { useEffect, useState } from "preact/hooks";

import { type Namespace, expectOk, fromBase64, getJson, message, pathOf, request } from "../api";
import { NamespaceSelect } from "./select";

const PAGE = 100;
const PRECONDITION_FAILED = 412;

interface Entry {
  key: string;
  value: string;
  revision: string;
  expireTime?: string;
}

/** What is edited. `etag` is empty for a new value. */
interface Draft {
  key: string;
  text: string;
  ttl: string;
  etag: string;
}

const EMPTY: Draft = { key: "", text: "", ttl: "", etag: "" };

/** A `/` is part of a key; all other characters are escaped. */
const escaped = (key: string) => key.split("/").map(encodeURIComponent).join("/");

/** Browses and edits the values of a KeyValue namespace. */
export function KeyValuePage({ namespaces }: { namespaces: Namespace[] }) {
  const usable = namespaces.filter((namespace) => namespace.pattern === "keyvalue" && pathOf(namespace, "rest") !== undefined);
  const [chosen, choose] = useState(usable[0]?.name ?? "");
  const namespace = usable.find(({ name }) => name === chosen);
  if (!namespace) return <p>No namespace has the pattern keyvalue and the frontend rest.</p>;
  return (
    <>
      <NamespaceSelect namespaces={usable} chosen={chosen} choose={choose} />
      <Browser key={chosen} base={pathOf(namespace, "rest") ?? ""} />
    </>
  );
}

function Browser({ base }: { base: string }) {
  const [prefix, setPrefix] = useState("");
  const [entries, setEntries] = useState<Entry[]>([]);
  const [draft, setDraft] = useState(EMPTY);
  const [notice, setNotice] = useState("");
  const [theirs, setTheirs] = useState<{ text: string; etag: string }>();
  const load = () =>
    getJson<Entry[]>(`${base}/v1/keys?limit=${PAGE}&prefix=${encodeURIComponent(prefix)}`).then(setEntries, (error: unknown) => setNotice(message(error)));
  useEffect(() => void load(), [prefix]);

  const edit = (entry: Entry) => {
    setTheirs(undefined);
    setNotice("");
    setDraft({ key: entry.key, text: fromBase64(entry.value), ttl: "", etag: `"${entry.revision}"` });
  };
  const write = async (condition: Record<string, string>) => {
    const query = draft.ttl ? `?ttl=${encodeURIComponent(draft.ttl)}s` : "";
    const response = await request("PUT", `${base}/v1/values/${escaped(draft.key)}${query}`, condition, draft.text);
    if (response.status === PRECONDITION_FAILED) {
      const current = await request("GET", `${base}/v1/values/${escaped(draft.key)}`);
      setNotice(draft.etag ? "Somebody else has changed this value since you opened it." : "This key exists already.");
      setTheirs({ text: current.ok ? await current.text() : "(removed)", etag: current.headers.get("etag") ?? "" });
      return;
    }
    await expectOk(response);
    setTheirs(undefined);
    setDraft({ ...draft, ttl: "", etag: response.headers.get("etag") ?? "" });
    setNotice(`Stored as revision ${response.headers.get("etag")}.`);
    await load();
  };
  const save = () => write(draft.etag ? { "if-match": draft.etag } : { "if-none-match": "*" });
  const remove = async () => {
    const response = await request("DELETE", `${base}/v1/values/${escaped(draft.key)}`, { "if-match": draft.etag });
    if (response.status === PRECONDITION_FAILED) {
      setNotice("Somebody else has changed this value since you opened it. Load it before you remove it.");
      return;
    }
    await expectOk(response);
    setNotice(`Removed ${draft.key}.`);
    setDraft(EMPTY);
    await load();
  };
  const run = (work: () => Promise<void>) => () => void work().catch((error: unknown) => setNotice(message(error)));

  return (
    <div class="columns">
      <section aria-labelledby="keys">
        <h2 id="keys">Keys</h2>
        <p class="row">
          <label>
            Prefix <input value={prefix} onInput={(event) => setPrefix(event.currentTarget.value)} />
          </label>
          <button type="button" onClick={() => void load()}>
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
                  {entry.expireTime && <small> expires {new Date(entry.expireTime).toLocaleTimeString()}</small>}
                </button>
              </li>
            ))}
          </ul>
        )}
        {entries.length === PAGE && <p>The first {PAGE} keys. Narrow them down with a prefix.</p>}
      </section>
      <section aria-labelledby="value">
        <h2 id="value">{draft.etag ? "Value" : "New value"}</h2>
        <form onSubmit={(event) => (event.preventDefault(), run(save)())}>
          <label>
            Key <input required value={draft.key} readOnly={draft.etag !== ""} onInput={(event) => setDraft({ ...draft, key: event.currentTarget.value })} />
          </label>
          <label>
            Text <textarea rows={8} value={draft.text} onInput={(event) => setDraft({ ...draft, text: event.currentTarget.value })} />
          </label>
          <label>
            Expires after seconds (empty: never){" "}
            <input type="number" min="1" value={draft.ttl} onInput={(event) => setDraft({ ...draft, ttl: event.currentTarget.value })} />
          </label>
          <p class="row">
            <button type="submit">Save {draft.etag ? `if the ETag is still ${draft.etag}` : "if the key does not exist"}</button>
            {draft.etag && (
              <button type="button" onClick={run(remove)}>
                Remove
              </button>
            )}
          </p>
        </form>
        <p role="status">{notice}</p>
        {theirs && (
          <div class="conflict">
            <h3>What is there now {theirs.etag && `(ETag ${theirs.etag})`}</h3>
            <pre tabIndex={0}>{theirs.text}</pre>
            <p class="row">
              <button type="button" onClick={() => (setDraft({ ...draft, text: theirs.text, etag: theirs.etag }), setTheirs(undefined), setNotice("Loaded."))}>
                Take this
              </button>
              <button type="button" onClick={run(() => write(theirs.etag ? { "if-match": theirs.etag } : {}))}>
                Overwrite it with mine
              </button>
            </p>
          </div>
        )}
      </section>
    </div>
  );
}
