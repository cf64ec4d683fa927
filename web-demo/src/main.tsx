import { type ComponentType, render } from "preact";
import { useEffect, useState } from "preact/hooks";

import { type Namespace, message, namespaces } from "./api";
import { KeyValuePage } from "./pages/keyvalue";
import { NamespacesPage } from "./pages/namespaces";
import { RequestLog } from "./pages/requests";
import { SchemasPage } from "./pages/schemas";
import { StreamsPage } from "./pages/streams";

const PAGES: { path: string; title: string; Page: ComponentType<{ namespaces: Namespace[] }> }[] = [
  { path: "#/", title: "Namespaces", Page: NamespacesPage },
  { path: "#/values", title: "Values", Page: KeyValuePage },
  { path: "#/streams", title: "Streams", Page: StreamsPage },
  { path: "#/schemas", title: "Schemas", Page: SchemasPage },
];

function App() {
  const [path, setPath] = useState(location.hash || "#/");
  const [all, setAll] = useState<Namespace[]>();
  const [problem, setProblem] = useState("");
  useEffect(() => {
    const follow = () => setPath(location.hash || "#/");
    addEventListener("hashchange", follow);
    namespaces().then(setAll, (error: unknown) => setProblem(message(error)));
    return () => removeEventListener("hashchange", follow);
  }, []);
  const { title, Page } = PAGES.find((page) => page.path === path) ?? PAGES[0]!;
  useEffect(() => {
    document.title = `${title} · Prism`;
  }, [title]);
  return (
    <>
      <a class="skip" href="#content" onClick={(event) => (event.preventDefault(), document.getElementById("content")?.focus())}>
        Skip to the content
      </a>
      <header>
        <strong>Prism</strong>
        <nav aria-label="Pages">
          {PAGES.map((page) => (
            <a key={page.path} href={page.path} aria-current={page.title === title ? "page" : undefined}>
              {page.title}
            </a>
          ))}
        </nav>
      </header>
      <main id="content" tabIndex={-1}>
        <h1>{title}</h1>
        {problem && <p role="alert">{problem}</p>}
        {all && <Page namespaces={all} />}
      </main>
      <RequestLog />
    </>
  );
}

const root = document.getElementById("app");
if (root) render(<App />, root);
