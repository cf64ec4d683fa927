import { recorded } from "../api";

const lines = (headers: [string, string][]) => headers.map(([name, value]) => `${name}: ${value}`).join("\n");

/** The requests of this page, with their headers and their time. */
export function RequestLog() {
  const all = recorded.value;
  return (
    <footer>
      <details>
        <summary>Requests of this page ({all.length})</summary>
        <ul class="requests">
          {all.map((one) => (
            <li key={one.id}>
              <details>
                <summary>
                  <code>
                    {one.method} {one.path}
                  </code>{" "}
                  <span class={one.status < 400 ? "good" : "bad"}>{one.status}</span> {one.milliseconds.toFixed(1)} ms
                </summary>
                <pre tabIndex={0} aria-label="Headers">{`${lines(one.sent)}\n\n${one.status}\n${lines(one.received)}`}</pre>
              </details>
            </li>
          ))}
        </ul>
      </details>
    </footer>
  );
}
