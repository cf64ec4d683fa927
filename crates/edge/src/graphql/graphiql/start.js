// Starts GraphiQL with the endpoint of this page.
const url = new URL("graphql", location.href);
const socket = new URL(url);
socket.protocol = url.protocol === "https:" ? "wss:" : "ws:";
const fetcher = GraphiQL.createFetcher({
  url: url.href,
  wsClient: graphqlWs.createClient({ url: socket.href, lazy: true }),
});
const schema = React.createElement("a", { href: "graphql/schema.graphql", download: "schema.graphql" }, "Download the schema");
const footer = React.createElement(GraphiQL.Toolbar, null, ({ prettify, copy, merge }) => React.createElement(React.Fragment, null, prettify, merge, copy, schema));
// The endpoint of a listener has a field for each namespace.
const example = url.pathname === "/graphql" ? "__typename" : "getCapabilities {\n    capabilities {\n      namespace\n      pattern\n    }\n  }";
const defaultQuery = `# Ctrl+Space shows what is possible here, and Ctrl+Enter runs it.\n\nquery {\n  ${example}\n}\n`;
ReactDOM.createRoot(document.getElementById("graphiql")).render(React.createElement(GraphiQL, { fetcher, defaultQuery, shouldPersistHeaders: false }, footer));
