import { useEffect, useState } from "preact/hooks";

import { type Namespace, getJson, message, pathOf, postJson } from "../api";
import { diff } from "./diff";

const TYPE = "application/vnd.schemaregistry.v1+json";
const FRONTEND = "confluent-schema-registry";
const EXAMPLE = JSON.stringify({ type: "record", name: "Order", fields: [{ name: "id", type: "string" }] }, null, 2);

interface Version {
  subject: string;
  version: number;
  id: number;
  schema: string;
  schemaType?: string;
}

/** Formats a schema that is JSON. */
function pretty(schema: string): string {
  try {
    return JSON.stringify(JSON.parse(schema), null, 2);
  } catch {
    return schema;
  }
}

/** Subjects and versions of a schema registry. */
export function SchemasPage({ namespaces }: { namespaces: Namespace[] }) {
  const namespace = namespaces.find((one) => one.pattern === "schema-registry" && pathOf(one, FRONTEND) !== undefined);
  if (!namespace) return <p>No schema registry is served on this listener.</p>;
  return <Registry base={pathOf(namespace, FRONTEND) ?? ""} />;
}

function Registry({ base }: { base: string }) {
  const [subjects, setSubjects] = useState<string[]>([]);
  const [subject, setSubject] = useState("");
  const [versions, setVersions] = useState<Version[]>([]);
  const [pair, setPair] = useState<[number, number]>([0, 0]);
  const [text, setText] = useState(EXAMPLE);
  const [notice, setNotice] = useState("");
  const fail = (error: unknown) => setNotice(message(error));
  const loadSubjects = () => getJson<string[]>(`${base}/subjects`).then(setSubjects, fail);
  const loadVersions = async (name: string) => {
    setSubject(name);
    const path = `${base}/subjects/${encodeURIComponent(name)}/versions`;
    const numbers = await getJson<number[]>(path);
    const all = await Promise.all(numbers.map((number) => getJson<Version>(`${path}/${number}`)));
    setVersions(all);
    setPair([numbers.at(-2) ?? numbers.at(-1) ?? 0, numbers.at(-1) ?? 0]);
    return all;
  };
  const open = async (name: string) => {
    const latest = (await loadVersions(name)).at(-1);
    if (latest) setText(pretty(latest.schema));
  };
  useEffect(() => void loadSubjects(), []);
  const check = async () => {
    const path = `${base}/compatibility/subjects/${encodeURIComponent(subject)}/versions/latest?verbose=true`;
    const { is_compatible, messages } = await postJson<{ is_compatible: boolean; messages?: string[] }>(path, { schema: text }, TYPE);
    setNotice(is_compatible ? "Compatible with the latest version." : `Not compatible:\n${(messages ?? []).join("\n")}`);
  };
  const register = async () => {
    const { id } = await postJson<{ id: number }>(`${base}/subjects/${encodeURIComponent(subject)}/versions`, { schema: text }, TYPE);
    setNotice(`Registered with the id ${id}.`);
    await loadSubjects();
    // The text stays: somebody may be typing.
    await loadVersions(subject);
  };
  const [before, after] = pair.map((number) => versions.find(({ version }) => version === number));
  return (
    <div class="columns">
      <section aria-labelledby="subjects">
        <h2 id="subjects">Subjects</h2>
        {subjects.length === 0 && <p>No subjects. Register a schema to create one.</p>}
        <ul class="list">
          {subjects.map((name) => (
            <li key={name}>
              <button type="button" aria-current={name === subject} onClick={() => void open(name).catch(fail)}>
                <code>{name}</code>
              </button>
            </li>
          ))}
        </ul>
        {before && after && (
          <>
            <h3>Difference</h3>
            <p class="row">
              {(["From", "To"] as const).map((label, side) => (
                <label key={label}>
                  {label}{" "}
                  <select
                    value={pair[side]}
                    onChange={(event) => {
                      const number = Number(event.currentTarget.value);
                      setPair(([from, to]) => (side === 0 ? [number, to] : [from, number]));
                    }}
                  >
                    {versions.map(({ version, id }) => (
                      <option key={version} value={version}>
                        version {version}, id {id}
                      </option>
                    ))}
                  </select>
                </label>
              ))}
            </p>
            <pre class="diff" tabIndex={0} aria-label="Difference of the two versions">
              {diff(pretty(before.schema), pretty(after.schema)).map((line, index) => (
                <div key={index} class={line.kind}>
                  {line.kind === "added" ? "+ " : line.kind === "removed" ? "- " : "  "}
                  {line.text}
                </div>
              ))}
            </pre>
          </>
        )}
      </section>
      <section aria-labelledby="schema">
        <h2 id="schema">Schema</h2>
        <form onSubmit={(event) => (event.preventDefault(), void register().catch(fail))}>
          <label>
            Subject <input required value={subject} onInput={(event) => setSubject(event.currentTarget.value)} />
          </label>
          <label>
            Schema (Avro) <textarea rows={14} spellcheck={false} value={text} onInput={(event) => setText(event.currentTarget.value)} />
          </label>
          <p class="row">
            <button type="button" disabled={versions.length === 0} onClick={() => void check().catch(fail)}>
              Check compatibility
            </button>
            <button type="submit">Register</button>
          </p>
        </form>
        <p role="status" class="lines">
          {notice}
        </p>
      </section>
    </div>
  );
}
