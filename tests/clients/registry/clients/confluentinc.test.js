// Confluent's JavaScript client, its serializers, and its client for encrypted keys.

import { test } from "node:test";
import assert from "node:assert/strict";
import { create, createFileRegistry, createMutableRegistry } from "@bufbuild/protobuf";
import { FieldDescriptorProto_Label as Label, FieldDescriptorProto_Type as Type, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import registry from "@confluentinc/schemaregistry";
import { ID, MUST, NOTE, record, schemaId, unique, url } from "./suite.js";

const { AvroDeserializer, AvroSerializer, DekRegistryClient, JsonDeserializer, JsonSerializer } = registry;
const { ProtobufDeserializer, ProtobufSerializer, RestError, SchemaRegistryClient, SerdeType } = registry;

// Clients have no retries, and each has its own cache.
const client = (base = url) => new SchemaRegistryClient({ baseURLs: [base], maxRetries: 0 });
const avro = (...fields) => ({ schemaType: "AVRO", schema: record(fields) });
const latest = { useLatestVersion: true };
const refused = (status, errorCode) => (error) => error instanceof RestError && error.status === status && error.errorCode === errorCode;

test("registers and reads back", async () => {
  const name = unique();
  const id = await client().register(name, avro(ID));
  assert.equal(await client().register(name, avro(ID)), id);
  const full = await client().registerFullResponse(name, avro(ID));
  assert.equal(full.id, id);
  const read = await client().getBySubjectAndId(name, id);
  assert.deepEqual(JSON.parse(read.schema), JSON.parse(record([ID])));
  const metadata = await client().getLatestSchemaMetadata(name);
  assert.deepEqual([metadata.subject, metadata.version, metadata.id], [name, 1, id]);
  assert.equal((await client().getByGuid(metadata.guid)).schema, metadata.schema);
  assert.equal(await client().getId(name, avro(ID)), id);
  assert.equal(await client().getVersion(name, avro(ID)), 1);
  assert.ok((await client().getAllSubjects()).includes(name));
});

test("registers a compatible version, and refuses an incompatible one", async () => {
  const name = unique();
  await client().register(name, avro(ID));
  await client().register(name, avro(ID, NOTE));
  assert.deepEqual(await client().getAllVersions(name), [1, 2]);
  await assert.rejects(client().register(name, avro(ID, NOTE, MUST)), refused(409, 409));
  assert.equal(await client().testSubjectCompatibility(name, avro(ID)), true);
  assert.equal(await client().testSubjectCompatibility(name, avro(ID, MUST)), false);
  assert.equal(await client().testCompatibility(name, 1, avro(ID, MUST)), false);
});

test("reports missing and invalid schemas", async () => {
  const name = unique();
  await assert.rejects(client().getLatestSchemaMetadata(name), refused(404, 40401));
  await assert.rejects(client().getAllVersions(name), refused(404, 40401));
  await assert.rejects(client().getBySubjectAndId("", 2000000000), refused(404, 40403));
  await assert.rejects(client().register(name, { schemaType: "AVRO", schema: "{" }), refused(422, 42201));
  await client().register(name, avro(ID));
  await assert.rejects(client().getSchemaMetadata(name, 9, false), refused(404, 40402));
  await assert.rejects(client().getId(name, avro(MUST)), refused(404, 40403));
});

test("deletes in two steps", async () => {
  const name = unique();
  await client().register(name, avro(ID));
  await client().register(name, avro(ID, NOTE));
  assert.equal(await client().deleteSubjectVersion(name, 1, false), 1);
  assert.equal((await client().getSchemaMetadata(name, 1, true)).version, 1);
  assert.equal(await client().deleteSubjectVersion(name, 1, true), 1);
  await assert.rejects(client().getSchemaMetadata(name, 1, true), refused(404, 40402));
  await assert.rejects(client().deleteSubject(name, true), refused(404, 40405));
  assert.deepEqual(await client().deleteSubject(name, false), [2]);
  assert.deepEqual(await client().deleteSubject(name, true), [2]);
  await assert.rejects(client().deleteSubject(name, true), refused(404, 40401));
});

test("configures", async () => {
  const name = unique();
  await assert.rejects(client().getCompatibility(name), refused(404, 40408));
  assert.equal(await client().getDefaultCompatibility(), "BACKWARD");
  assert.equal(await client().updateCompatibility(name, "FULL"), "FULL");
  assert.equal(await client().getCompatibility(name), "FULL");
  const config = { compatibility: "NONE", normalize: true, compatibilityGroup: "major", defaultMetadata: { properties: { owner: "shop" } } };
  const changed = await client().updateConfig(name, config);
  assert.equal(changed.compatibilityGroup, "major");
  const read = await client().getConfig(name);
  assert.deepEqual([read.compatibilityLevel, read.compatibilityGroup, read.normalize], ["NONE", "major", true]);
  assert.deepEqual(read.defaultMetadata.properties, { owner: "shop" });
  await client().register(name, avro(ID));
  assert.deepEqual((await client().getLatestSchemaMetadata(name)).metadata.properties, { owner: "shop" });
});

test("keeps metadata and rules, and finds schemas by metadata", async () => {
  const name = unique();
  const rule = { name: "check", kind: "CONDITION", mode: "WRITE", type: "CEL", expr: "message.id > 0" };
  const some = { ...avro(ID), metadata: { properties: { major: "1" }, tags: { "Order.id": ["PII"] } }, ruleSet: { domainRules: [rule] } };
  await client().register(name, some);
  await client().register(name, { ...avro(ID, NOTE), metadata: { properties: { major: "2" } } });
  const found = await client().getLatestWithMetadata(name, { major: "1" });
  assert.equal(found.version, 1);
  assert.deepEqual(found.metadata.tags, { "Order.id": ["PII"] });
  const [kept] = found.ruleSet.domainRules;
  assert.deepEqual([kept.name, kept.kind, kept.mode, kept.type, kept.expr], ["check", "CONDITION", "WRITE", "CEL", "message.id > 0"]);
});

test("associates subjects with topics", async () => {
  const name = unique();
  const associations = [{ subject: `${name}-value`, associationType: "value", lifecycle: "WEAK", schema: avro(ID) }];
  const made = await client().createAssociation({
    resourceName: name, resourceNamespace: "cluster", resourceId: `cluster:${name}`, resourceType: "topic", associations,
  });
  assert.equal(made.associations[0].subject, `${name}-value`);
  const found = await client().getAssociationsByResourceName(name, "cluster", "topic", ["value"], null, 0, -1);
  assert.deepEqual(found.map((each) => each.subject), [`${name}-value`]);
  await client().deleteAssociations(`cluster:${name}`, "topic", ["value"], false);
});

test("encodes and decodes Avro with two versions", async () => {
  const name = unique();
  await client().register(`${name}-value`, avro(ID));
  const old = await new AvroSerializer(client(), SerdeType.VALUE, latest).serialize(name, { id: 1 });
  const id = await client().register(`${name}-value`, avro(ID, NOTE));
  const data = await new AvroSerializer(client(), SerdeType.VALUE, latest).serialize(name, { id: 2, note: "n" });
  assert.equal(schemaId(data), id);
  const reader = new AvroDeserializer(client(), SerdeType.VALUE, {});
  assert.deepEqual({ ...(await reader.deserialize(name, data)) }, { id: 2, note: "n" });
  assert.deepEqual({ ...(await reader.deserialize(name, old)) }, { id: 1 });
  const newest = new AvroDeserializer(client(), SerdeType.VALUE, latest);
  assert.deepEqual({ ...(await newest.deserialize(name, old)) }, { id: 1, note: "none" });
});

test("the Avro serializer registers the schema", async () => {
  const name = unique();
  const data = await new AvroSerializer(client(), SerdeType.VALUE, { autoRegisterSchemas: true }).serialize(name, { id: 1, note: "n" });
  assert.equal((await client().getLatestSchemaMetadata(`${name}-value`)).id, schemaId(data));
  const back = await new AvroDeserializer(client(), SerdeType.VALUE, {}).deserialize(name, data);
  assert.deepEqual({ ...back }, { id: 1, note: "n" });
});

test("Avro with references", async () => {
  const name = unique();
  await client().register(`${name}-address`, { schemaType: "AVRO", schema: record([{ name: "street", type: "string" }], "Address") });
  await client().register(`${name}-value`, {
    schemaType: "AVRO",
    schema: record([{ name: "home", type: "Address" }], "Person"),
    references: [{ name: "Address", subject: `${name}-address`, version: 1 }],
  });
  const data = await new AvroSerializer(client(), SerdeType.VALUE, latest).serialize(name, { home: { street: "Main" } });
  const back = await new AvroDeserializer(client(), SerdeType.VALUE, {}).deserialize(name, data);
  assert.equal(back.home.street, "Main");
});

test("encodes and decodes JSON, and refuses an incompatible version", async () => {
  const name = unique();
  const schema = (kind) => ({
    schemaType: "JSON",
    schema: JSON.stringify({ type: "object", properties: { id: { type: kind } }, additionalProperties: false }),
  });
  const id = await client().register(`${name}-value`, schema("integer"));
  const writer = new JsonSerializer(client(), SerdeType.VALUE, { ...latest, validate: true });
  const data = await writer.serialize(name, { id: 1 });
  assert.equal(schemaId(data), id);
  await assert.rejects(writer.serialize(name, { id: "one" }));
  assert.deepEqual(await new JsonDeserializer(client(), SerdeType.VALUE, {}).deserialize(name, data), { id: 1 });
  await assert.rejects(client().register(`${name}-value`, schema("string")), refused(409, 409));
});

/** Returns the message `shop.Order` as protoc generates it. Fields are [name, number, type]. */
function order(...fields) {
  const field = ([name, number, type]) => ({ name, number, type, label: Label.OPTIONAL, jsonName: name });
  const message = { name: "Order", field: fields.map(field) };
  const file = create(FileDescriptorProtoSchema, { name: "order.proto", package: "shop", syntax: "proto3", messageType: [message] });
  return createFileRegistry(file, () => undefined).getMessage("shop.Order");
}

test("encodes and decodes Protobuf, and refuses an incompatible version", async () => {
  const name = unique();
  const write = (message, value) => {
    const conf = { autoRegisterSchemas: true, registry: createMutableRegistry(message) };
    return new ProtobufSerializer(client(), SerdeType.VALUE, conf).serialize(name, create(message, value));
  };
  const data = await write(order(["id", 1, Type.INT32], ["note", 2, Type.STRING]), { id: 7, note: "n" });
  const known = await client().getLatestSchemaMetadata(`${name}-value`);
  assert.deepEqual([known.id, known.schemaType], [schemaId(data), "PROTOBUF"]);
  assert.match(known.schema, /message Order/);
  const back = await new ProtobufDeserializer(client(), SerdeType.VALUE, {}).deserialize(name, data);
  assert.deepEqual([back.id, back.note], [7, "n"]);
  await write(order(["id", 1, Type.INT32], ["note", 2, Type.STRING], ["more", 3, Type.STRING]), { id: 8 });
  assert.deepEqual(await client().getAllVersions(`${name}-value`), [1, 2]);
  await assert.rejects(write(order(["id", 1, Type.STRING]), { id: "7" }), refused(409, 409));
});

test("contexts have their own ids and subjects", async () => {
  const name = unique();
  const inside = `${url}/contexts/.${name}`;
  assert.equal(await client(inside).register("orders-value", avro(ID)), 1);
  const data = await new AvroSerializer(client(inside), SerdeType.VALUE, latest).serialize("orders", { id: 3 });
  assert.deepEqual({ ...(await new AvroDeserializer(client(inside), SerdeType.VALUE, {}).deserialize("orders", data)) }, { id: 3 });
  assert.deepEqual(await client(inside).getAllSubjects(), [`:.${name}:orders-value`]);
  assert.equal((await client().getLatestSchemaMetadata(`:.${name}:orders-value`)).id, 1);
});

test("keeps encrypted keys", async () => {
  const keys = () => DekRegistryClient.newClient({ baseURLs: [url], maxRetries: 0 });
  const name = unique();
  await assert.rejects(keys().getKek(name), (error) => error.status === 404);
  const kek = await keys().registerKek(name, "local-kms", "mykey", false, { a: "b" }, "for tests");
  assert.deepEqual([kek.name, kek.kmsType, kek.kmsKeyId, kek.shared], [name, "local-kms", "mykey", false]);
  assert.deepEqual((await keys().getKek(name)).kmsProps, { a: "b" });
  await assert.rejects(keys().registerKek(name, "local-kms", "other", false), (error) => error.status === 409);
  await assert.rejects(keys().getDek(name, "orders-value", "AES256_GCM"), (error) => error.status === 404);
  const dek = await keys().registerDek(name, "orders-value", "AES256_GCM", 1, "c2VjcmV0");
  assert.deepEqual([dek.kekName, dek.subject, dek.version, dek.encryptedKeyMaterial], [name, "orders-value", 1, "c2VjcmV0"]);
  assert.equal((await keys().getDek(name, "orders-value", "AES256_GCM", 1)).encryptedKeyMaterial, "c2VjcmV0");
});
