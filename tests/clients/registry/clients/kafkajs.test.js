// The client of kafkajs.

import { test } from "node:test";
import assert from "node:assert/strict";
import kafkajs from "@kafkajs/confluent-schema-registry";
import { ID, MUST, NOTE, record, schemaId, unique, url } from "./suite.js";

const { COMPATIBILITY, SchemaRegistry, SchemaType } = kafkajs;

// Clients have no retries, and each has its own cache.
const registry = (options) => new SchemaRegistry({ host: url, retry: { retries: 0 } }, options);
const avro = (...fields) => ({ type: SchemaType.AVRO, schema: record(fields) });

test("registers, encodes and decodes", async () => {
  const subject = unique();
  const { id } = await registry().register(avro(ID, NOTE), { subject });
  assert.equal(await registry().getLatestSchemaId(subject), id);
  assert.equal(await registry().getRegistryId(subject, 1), id);
  assert.equal(await registry().getRegistryIdBySchema(subject, avro(ID, NOTE)), id);
  const data = await registry().encode(id, { id: 1, note: "ä" });
  assert.equal(schemaId(data), id);
  assert.deepEqual({ ...(await registry().decode(data)) }, { id: 1, note: "ä" });
});

test("sets the level of a new subject, and compares it with that of an old one", async () => {
  const subject = unique();
  await registry().register(avro(ID), { subject, compatibility: COMPATIBILITY.FULL });
  await registry().register(avro(ID, NOTE), { subject, compatibility: COMPATIBILITY.FULL });
  await assert.rejects(registry().register(avro(ID), { subject, compatibility: COMPATIBILITY.NONE }), /FULL/);
});

test("registers a compatible version, and refuses an incompatible one", async () => {
  const subject = unique();
  const { id } = await registry().register(avro(ID), { subject });
  const old = await registry().encode(id, { id: 1 });
  await registry().register(avro(ID, NOTE), { subject });
  await assert.rejects(registry().register(avro(ID, NOTE, MUST), { subject }), (error) => error.status === 409 && /incompatible/.test(error.message));
  const options = { [SchemaType.AVRO]: { readerSchema: JSON.parse(record([ID, NOTE])) } };
  assert.deepEqual({ ...(await registry().decode(old, options)) }, { id: 1, note: "none" });
});

test("registers references", async () => {
  const subject = unique();
  const address = { type: SchemaType.AVRO, schema: record([{ name: "street", type: "string" }], "Address") };
  await registry().register(address, { subject: `${subject}-address` });
  const references = [{ name: "Address", subject: `${subject}-address`, version: 1 }];
  const person = { type: SchemaType.AVRO, schema: record([{ name: "home", type: "Address" }], "Person"), references };
  const { id } = await registry().register(person, { subject });
  const data = await registry().encode(id, { home: { street: "Main" } });
  assert.equal((await registry().decode(data)).home.street, "Main");
});

test("encodes and decodes JSON, and refuses an incompatible version", async () => {
  const subject = unique();
  const schema = (kind) => ({
    type: SchemaType.JSON,
    schema: JSON.stringify({ type: "object", properties: { id: { type: kind } }, additionalProperties: false }),
  });
  const { id } = await registry().register(schema("integer"), { subject });
  const data = await registry().encode(id, { id: 1 });
  assert.deepEqual(await registry().decode(data), { id: 1 });
  await assert.rejects(registry().register(schema("string"), { subject }), (error) => error.status === 409);
});

test("encodes and decodes Protobuf, and refuses an incompatible version", async () => {
  const subject = unique();
  const schema = (kind) => ({ type: SchemaType.PROTOBUF, schema: `syntax = "proto3";\npackage shop;\nmessage Order {\n  ${kind} id = 1;\n}\n` });
  const { id } = await registry().register(schema("int32"), { subject });
  const data = await registry().encode(id, { id: 7 });
  assert.equal((await registry().decode(data)).id, 7);
  await assert.rejects(registry().register(schema("string"), { subject }), (error) => error.status === 409);
});

test("reports missing schemas", async () => {
  const subject = unique();
  await assert.rejects(registry().getLatestSchemaId(subject), (error) => error.status === 404);
  await assert.rejects(registry().encode(2000000000, {}), (error) => error.status === 404);
  await assert.rejects(registry().getRegistryIdBySchema(subject, avro(ID)), (error) => error.status === 404 || /not found/i.test(error.message));
});
