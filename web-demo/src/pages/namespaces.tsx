import { useEffect, useState } from "preact/hooks";

import { type Namespace, getJson, message, pathOf } from "../api";

interface Capabilities {
  slots: { name: string; backend: string; kind: string; interfaces: string[] }[];
  operations: { rpc: string; support: string; interface: string; note: string }[];
}

const SUPPORT: Record<string, [symbol: string, text: string, style: string]> = {
  SUPPORT_NATIVE: ["✓", "native", "good"],
  SUPPORT_EMULATED: ["≈", "emulated", "fair"],
  SUPPORT_UNAVAILABLE: ["✗", "not available", "bad"],
};

const CURL: Record<string, (base: string) => string> = {
  keyvalue: (base) => `curl -X PUT ${location.origin}${base}/v1/values/greeting -d hello`,
};

/** What each namespace can do over its backends. */
export function NamespacesPage({ namespaces }: { namespaces: Namespace[] }) {
  const patterns = [...new Set(namespaces.map(({ pattern }) => pattern))];
  return (
    <>
      <p class="lead">
        Prism is one gateway for the data of a company. A <b>namespace</b> is a pattern over a backend, and every client uses its own protocol on the same data: REST, GraphQL, gRPC,
        Connect, WebSocket, server-sent events. Everything on these pages is done with the public API of this gateway.
      </p>
      {patterns.map((pattern) => (
        <Pattern key={pattern} name={pattern} namespaces={namespaces.filter((namespace) => namespace.pattern === pattern)} />
      ))}
    </>
  );
}

function Pattern({ name, namespaces }: { name: string; namespaces: Namespace[] }) {
  const [all, setAll] = useState<Record<string, Capabilities>>({});
  const [problem, setProblem] = useState("");
  useEffect(() => {
    for (const namespace of namespaces) {
      const base = pathOf(namespace, "rest");
      if (base === undefined) continue;
      getJson<{ capabilities: Capabilities }>(`${base}/v1/capabilities`).then(
        ({ capabilities }) => setAll((known) => ({ ...known, [namespace.name]: capabilities })),
        (error: unknown) => setProblem(message(error)),
      );
    }
  }, [namespaces.length]);
  const rpcs = [...new Set(Object.values(all).flatMap(({ operations }) => operations.map(({ rpc }) => rpc)))];
  return (
    <section aria-labelledby={`pattern-${name}`}>
      <h2 id={`pattern-${name}`}>{name}</h2>
      {problem && <p role="alert">{problem}</p>}
      <ul class="cards">
        {namespaces.map((namespace) => {
          const rest = pathOf(namespace, "rest");
          const graphql = pathOf(namespace, "graphql");
          return (
            <li key={namespace.name}>
              <h3>{namespace.name}</h3>
              {all[namespace.name]?.slots.map((slot) => (
                <p key={slot.name}>
                  {slot.name}: <b>{slot.backend}</b> ({slot.kind}), {slot.interfaces.length} interfaces
                </p>
              ))}
              <p>{namespace.frontends.map((frontend) => frontend.name).join(", ")}</p>
              {rest !== undefined && (
                <p>
                  <a href={`${rest}/docs`}>API documentation</a> · <a href={`${rest}/openapi.json`}>OpenAPI</a>
                </p>
              )}
              {graphql !== undefined && (
                <p>
                  <a href={`${graphql}/graphql`}>GraphiQL</a> · <a href={`${graphql}/graphql/schema.graphql`}>GraphQL schema</a>
                </p>
              )}
              {rest !== undefined && CURL[namespace.pattern] && <pre tabIndex={0}>{CURL[namespace.pattern]?.(rest)}</pre>}
            </li>
          );
        })}
      </ul>
      {rpcs.length > 0 && (
        <details open={rpcs.length <= 40}>
          <summary>{rpcs.length} operations</summary>
          <div class="scroll" tabIndex={0} role="region" aria-label={`Capabilities of ${name}`}>
            <table>
              <thead>
                <tr>
                  <th scope="col">Operation</th>
                  {namespaces.map((namespace) => (
                    <th key={namespace.name} scope="col">
                      {namespace.name}
                    </th>
                  ))}
                </tr>
              </thead>
              <tbody>
                {rpcs.map((rpc) => (
                  <tr key={rpc}>
                    <th scope="row">{rpc}</th>
                    {namespaces.map((namespace) => {
                      const operation = all[namespace.name]?.operations.find((known) => known.rpc === rpc);
                      const [symbol, text, style] = SUPPORT[operation?.support ?? "SUPPORT_UNAVAILABLE"] ?? ["?", operation?.support ?? "", ""];
                      return (
                        <td key={namespace.name} title={operation?.note}>
                          <span class={style} aria-hidden="true">
                            {symbol}
                          </span>{" "}
                          {text}
                          {operation?.support === "SUPPORT_EMULATED" && <small> {operation.note}</small>}
                        </td>
                      );
                    })}
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </details>
      )}
    </section>
  );
}
