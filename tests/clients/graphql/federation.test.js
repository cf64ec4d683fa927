// Subgraphs: a free composer (The Guild's) composes them with another one, and with each other, and they answer what a router asks.
import assert from "node:assert/strict";
import { test } from "node:test";

import { assertCompositionSuccess, composeServices } from "@theguild/federation-composition";
import { parse } from "graphql";

async function ask(endpoint, query, variables) {
  const response = await fetch(`${process.env.PRISM_URL}/${endpoint}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  const answer = await response.json();
  assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
  return answer.data;
}

async function subgraph(name, endpoint) {
  const { _service } = await ask(endpoint, "{ _service { sdl } }");
  return { name, url: `${process.env.PRISM_URL}/${endpoint}`, typeDefs: parse(_service.sdl) };
}

const reviews = {
  name: "reviews",
  url: "http://localhost/reviews",
  typeDefs: parse(`
    extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
    type Query { reviews: [Review!]! }
    type Review { stars: Int! product: ProductsEntry! }
    type ProductsEntry @key(fields: "key", resolvable: false) { key: String! }
  `),
};

test("a subgraph is composed with one that refers to its entities", async () => {
  const composed = composeServices([await subgraph("products", "products/graphql"), reviews]);
  assertCompositionSuccess(composed);
  assert.match(composed.supergraphSdl, /type ProductsEntry/);
  assert.match(composed.supergraphSdl, /products: KeyValueQuery!/);
});

test("several subgraphs are composed with each other", async () => {
  const composed = composeServices([await subgraph("products", "products/graphql"), await subgraph("orders", "orders/graphql")]);
  assertCompositionSuccess(composed);
  for (const name of ["ProductsEntry", "OrdersEntry"]) {
    assert.match(composed.supergraphSdl, new RegExp(`type ${name} `));
  }
});

test("entities are read as a router asks for them", async () => {
  for (const [key, value] of [["p1", "MQ=="], ["p2", "Mg=="]]) {
    await ask("products/graphql", "mutation($key: String!, $value: Bytes!) { products { store(key: $key, value: $value) { revision } } }", { key, value });
  }
  const representations = ["p1", "none", "p2"].map((key) => ({ __typename: "ProductsEntry", key }));
  const { _entities } = await ask(
    "products/graphql",
    "query($representations: [_Any!]!) { _entities(representations: $representations) { ... on ProductsEntry { __typename key value } } }",
    { representations },
  );
  assert.deepEqual(_entities, [
    { __typename: "ProductsEntry", key: "p1", value: "MQ==" },
    null,
    { __typename: "ProductsEntry", key: "p2", value: "Mg==" },
  ]);
});
