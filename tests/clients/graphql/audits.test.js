// The audits of "GraphQL over HTTP", and the reference implementation's reading of our schema.
import assert from "node:assert/strict";
import { test } from "node:test";

import { buildClientSchema, buildSchema, getIntrospectionQuery, printSchema, validateSchema } from "graphql";
import { serverAudits } from "graphql-http";

const url = `${process.env.PRISM_URL}/default/graphql`;

const audits = serverAudits({ url });

test("there are 61 audits", () => assert.equal(audits.length, 61));

for (const audit of audits) {
  test(`${audit.id} ${audit.name}`, async () => {
    const result = await audit.fn();
    assert.equal(result.status, "ok", result.reason);
  });
}

async function ask(url, query) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/graphql-response+json" },
    body: JSON.stringify({ query }),
  });
  const answer = await response.json();
  assert.equal(answer.errors, undefined, JSON.stringify(answer.errors));
  return answer.data;
}

for (const namespace of ["default", "interfaces"]) {
  test(`the schema of ${namespace} is valid for the reference implementation, as text and by introspection`, async () => {
    const endpoint = `${process.env.PRISM_URL}/${namespace}/graphql`;
    const text = await (await fetch(`${endpoint}/schema.graphql`)).text();
    const fromText = buildSchema(text);
    assert.deepEqual(validateSchema(fromText), []);
    const fromIntrospection = buildClientSchema(await ask(endpoint, getIntrospectionQuery({ inputValueDeprecation: false, oneOf: true })));
    assert.deepEqual(validateSchema(fromIntrospection), []);
    // Scalars of GraphQL itself are known even if nothing uses them.
    const names = (schema) => Object.keys(schema.getTypeMap()).filter((name) => !["Boolean", "Float", "ID", "Int", "String"].includes(name)).sort();
    assert.deepEqual(names(fromIntrospection), names(fromText));
    assert.ok(printSchema(fromIntrospection).includes("type Query"));
  });
}
