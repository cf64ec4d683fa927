// Published clients of GraphQL, unchanged: Apollo Client and urql, and graphql-sse with a single connection. Queries and mutations are JSON;
// subscriptions come in parts, as events, and over WebSocket.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { ApolloClient, CombinedGraphQLErrors, HttpLink, InMemoryCache, gql } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient as createSseClient } from "graphql-sse";
import { createClient as createWsClient } from "graphql-ws";
import WebSocket from "ws";

// Node.js 20 has none, and the link of Apollo Client looks at it.
globalThis.WebSocket ??= WebSocket;

const gateway = process.env.PRISM_URL;
const keys = Array.from({ length: 20 }, (_, index) => `clients/${String(index).padStart(2, "0")}`);

// The endpoint of a namespace, and that of the listener, where the namespace is a field.
const endpoints = {
  "a namespace": { url: `${gateway}/default/graphql`, open: "", close: "", inside: (data) => data },
  "the listener": { url: `${gateway}/graphql`, open: "default {", close: "}", inside: (data) => data.default },
};

const documents = ({ open, close }) => ({
  store: `mutation Store($key: String!, $value: Bytes!) { ${open} store(key: $key, value: $value) { revision } ${close} }`,
  read: `query Read($key: String!) { ${open} retrieve(key: $key) { value } missing: retrieve(key: "none") { value } ${close} }`,
  scan: `subscription Scan($cursor: String) { ${open} scan(prefix: "clients/", cursor: $cursor) { key cursor } ${close} }`,
  watch: `subscription Watch { ${open} watch(prefix: "live/") { entry { key } stored { key } } ${close} }`,
  wrong: "subscription Wrong { nothing }",
});

before(async () => {
  const items = keys.map((key) => ({ key, value: Buffer.from(key).toString("base64") }));
  const query = "mutation($items: [StoreInput!]!) { storeBatch(items: $items) { results { revision } } }";
  const response = await fetch(endpoints["a namespace"].url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query, variables: { items } }),
  });
  assert.equal((await response.json()).errors, undefined);
});

/** Collects the values of an observable. */
const collect = (subscribe) =>
  new Promise((resolve, reject) => {
    const all = [];
    subscribe({ next: (value) => all.push(value), error: reject, complete: () => resolve(all) });
  });

/** Connects over WebSocket. The connection stays for the next operation: one that begins while it is being closed has no result. */
const connect = (url) => createWsClient({ url: url.replace(/^http/, "ws"), webSocketImpl: WebSocket, retryAttempts: 0, lazyCloseTimeout: 1000 });

/** The clients: each runs a query or mutation, collects a subscription, and opens one that it can leave. */
const clients = {
  "Apollo Client over HTTP": (url) => apollo(new HttpLink({ uri: url })),
  "Apollo Client over WebSocket": (url) => {
    const connection = connect(url);
    return { ...apollo(new GraphQLWsLink(connection)), dispose: () => connection.dispose() };
  },
  "urql over HTTP": (url) => urql(new Client({ url, exchanges: [fetchExchange], fetchSubscriptions: true, preferGetMethod: false })),
  "urql with GET": (url) => urql(new Client({ url, exchanges: [fetchExchange], fetchSubscriptions: true, preferGetMethod: "force" })),
  "urql over WebSocket": (url) => {
    const connection = connect(url);
    const forwardSubscription = ({ query, variables }) => ({
      subscribe: (sink) => ({ unsubscribe: connection.subscribe({ query, variables }, sink) }),
    });
    const exchanges = [subscriptionExchange({ forwardSubscription, enableAllOperations: true })];
    const client = new Client({ url, exchanges, preferGetMethod: false });
    const leave = (text, next) => client.subscription(text, {}).subscribe((value) => next(result(value))).unsubscribe;
    return { ...urql(client), leave, dispose: () => connection.dispose() };
  },
  "graphql-sse with a single connection": (url) => {
    const client = createSseClient({ url, singleConnection: true, lazy: true, retryAttempts: 0 });
    const subscribe = (query, variables, sink) => client.subscribe({ query, variables }, sink);
    return {
      run: async (query, variables) => (await collect((sink) => subscribe(query, variables, sink)))[0],
      collect: (query, variables) => collect((sink) => subscribe(query, variables, sink)),
      leave: (query, next) => subscribe(query, {}, { next, error: () => {}, complete: () => {} }),
      dispose: () => client.dispose(),
    };
  },
};

function apollo(link) {
  const client = new ApolloClient({ link, cache: new InMemoryCache(), defaultOptions: { query: { fetchPolicy: "no-cache" } } });
  const errors = (error) => (CombinedGraphQLErrors.is(error) ? error.errors : error ? [error] : undefined);
  const result = ({ data, error, extensions }) => ({ data, errors: errors(error), extensions });
  const options = (variables) => ({ variables, errorPolicy: "all", fetchPolicy: "no-cache" });
  return {
    run: async (text, variables) => {
      const document = gql(text);
      const isMutation = text.startsWith("mutation");
      return result(await (isMutation ? client.mutate({ mutation: document, ...options(variables) }) : client.query({ query: document, ...options(variables) })));
    },
    collect: async (text, variables) => {
      const all = await collect((sink) => client.subscribe({ query: gql(text), ...options(variables) }).subscribe(sink));
      return all.map(result);
    },
    leave: (text, next) => {
      const running = client.subscribe({ query: gql(text), ...options({}) }).subscribe({ next: (value) => next(result(value)), error: () => {} });
      return () => running.unsubscribe();
    },
    dispose: () => client.stop(),
  };
}

const result = ({ data, error, extensions }) => ({ data, errors: error?.graphQLErrors.length ? error.graphQLErrors : error && [error], extensions });

function urql(client) {
  const options = { requestPolicy: "network-only" };
  return {
    run: async (text, variables) => {
      const isMutation = text.startsWith("mutation");
      return result(await (isMutation ? client.mutation(text, variables) : client.query(text, variables, options)).toPromise());
    },
    collect: (text, variables) =>
      new Promise((resolve) => {
        const all = [];
        client.subscription(text, variables).subscribe((value) => {
          // At the end it repeats the last one.
          if (value.hasNext || all.length === 0) all.push(result(value));
          if (!value.hasNext || value.error) resolve(all);
        });
      }),
    // Not over HTTP: its request, when it is aborted, sometimes ends with a rejection that nobody handles.
    leave: undefined,
    dispose: () => {},
  };
}

const reason = (error) => error.extensions?.reason ?? String(error);

for (const [place, endpoint] of Object.entries(endpoints)) {
  const { store, read, scan, watch, wrong } = documents(endpoint);
  for (const [name, create] of Object.entries(clients)) {
    const client = create(endpoint.url);
    after(() => client.dispose());
    const key = `one/${name}`;

    test(`${name} at ${place}: a mutation and a query`, async () => {
      const written = await client.run(store, { key, value: "aGk=" });
      assert.equal(written.errors, undefined, JSON.stringify(written));
      assert.ok(Number(endpoint.inside(written.data).store.revision) > 0);
      const found = await client.run(read, { key });
      assert.equal(endpoint.inside(found.data).retrieve.value, "aGk=");
      assert.equal(endpoint.inside(found.data).missing, null);
      assert.equal(reason(found.errors[0]), "KEY_NOT_FOUND");
    });

    test(`${name} at ${place}: a subscription`, async () => {
      const all = await client.collect(scan, {});
      assert.deepEqual(all.map((one) => endpoint.inside(one.data).scan.key), keys);
      assert.ok(all.every((one) => one.extensions.cursor), JSON.stringify(all[0]));
      const rest = await client.collect(scan, { cursor: all[4].extensions.cursor });
      assert.deepEqual(rest.map((one) => endpoint.inside(one.data).scan.key), keys.slice(5));
    });

    if (client.leave) test(`${name} at ${place}: a subscription that is open`, async () => {
      const live = `live/${name}/${place}`;
      let leave;
      const found = new Promise((resolve, reject) => {
        leave = client.leave(watch, (one) => {
          if (one.errors) reject(new Error(JSON.stringify(one.errors)));
          const { entry, stored } = endpoint.inside(one.data).watch;
          if ((entry ?? stored)?.key === live) resolve();
        });
      });
      await client.run(store, { key: live, value: "" });
      await found;
      leave();
      const after = await client.run(read, { key });
      assert.equal(endpoint.inside(after.data).retrieve.value, "aGk=");
    });

    test(`${name} at ${place}: a document that is wrong`, async () => {
      const refused = await client.collect(wrong, {}).catch((error) => [{ errors: error.errors ?? [].concat(error) }]);
      const errors = refused.at(-1).errors;
      // This client tells only the status, which is 400.
      const told = name.startsWith("graphql-sse") ? "400" : "GRAPHQL_VALIDATION";
      assert.ok(JSON.stringify([reason(errors[0]), errors[0].response?.status]).includes(told), String(errors[0]));
    });
  }
}
