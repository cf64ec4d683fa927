"""Confluent's Python serializers and deserializers, as producers and consumers use them."""

import json

from confluent_kafka.schema_registry import (
    Metadata,
    MetadataProperties,
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    SchemaRegistryError,
    header_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

from suite import case, equal, main, raises


CLIENTS = {}


def client(url):
    """Returns a client with empty caches. Clients are reused, because creating one is slow."""
    known = CLIENTS.get(url) or SchemaRegistryClient({"url": url, "max.retries": 0})
    CLIENTS[url] = known
    known.clear_caches()
    return known


def of(topic, headers=None):
    return SerializationContext(topic, MessageField.VALUE, headers)


def record(*fields, name="Order"):
    return json.dumps({"type": "record", "name": name, "fields": list(fields)})


ID = {"name": "id", "type": "long"}
NOTE = {"name": "note", "type": "string", "default": "none"}
MUST = {"name": "must", "type": "string"}


def schema_id(data):
    """Returns the id after the magic byte."""
    equal(data[0], 0)
    return int.from_bytes(data[1:5], "big")


def properties(**values):
    return Metadata(None, MetadataProperties(values), None)


@case
def avro_goes_and_comes_back(url, name):
    data = AvroSerializer(client(url), record(ID, NOTE))({"id": 1, "note": "ä"}, of(name))
    equal(schema_id(data), client(url).get_latest_version(name + "-value").schema_id)
    equal(AvroDeserializer(client(url))(data, of(name)), {"id": 1, "note": "ä"})


@case
def avro_evolves(url, name):
    old = AvroSerializer(client(url), record(ID))({"id": 1}, of(name))
    new = AvroSerializer(client(url), record(ID, NOTE))({"id": 2, "note": "n"}, of(name))
    reader = AvroDeserializer(client(url), record(ID, NOTE))
    equal([reader(old, of(name)), reader(new, of(name))], [{"id": 1, "note": "none"}, {"id": 2, "note": "n"}])
    equal(AvroDeserializer(client(url), record(ID))(new, of(name)), {"id": 2})


@case
def avro_refuses(url, name):
    AvroSerializer(client(url), record(ID))({"id": 1}, of(name))
    writer = AvroSerializer(client(url), record(ID, MUST))
    raises(SchemaRegistryError, lambda: writer({"id": 1, "must": "m"}, of(name)), http_status_code=409, error_code=409)


@case
def avro_refers(url, name):
    client(url).register_schema(name + "-address", Schema(record({"name": "street", "type": "string"}, name="Address"), "AVRO"))
    person = record({"name": "home", "type": "Address"}, name="Person")
    schema = Schema(person, "AVRO", [SchemaReference("Address", name + "-address", 1)])
    data = AvroSerializer(client(url), schema)({"home": {"street": "Main"}}, of(name))
    equal(AvroDeserializer(client(url))(data, of(name)), {"home": {"street": "Main"}})


@case
def avro_uses_the_latest_version(url, name):
    subject = name + "-value"
    client(url).register_schema(subject, Schema(record(ID), "AVRO"))
    latest = client(url).register_schema(subject, Schema(record(ID, NOTE), "AVRO"))
    conf = {"auto.register.schemas": False, "use.latest.version": True}
    data = AvroSerializer(client(url), None, conf=conf)({"id": 1, "note": "n"}, of(name))
    equal(schema_id(data), latest)
    equal(AvroDeserializer(client(url))(data, of(name)), {"id": 1, "note": "n"})


@case
def avro_uses_the_latest_version_with_metadata(url, name):
    subject = name + "-value"
    first = client(url).register_schema(subject, Schema(record(ID), "AVRO", metadata=properties(major="1")))
    client(url).register_schema(subject, Schema(record(ID, NOTE), "AVRO", metadata=properties(major="2")))
    conf = {"auto.register.schemas": False, "use.latest.with.metadata": {"major": "1"}}
    data = AvroSerializer(client(url), None, conf=conf)({"id": 1}, of(name))
    equal(schema_id(data), first)


@case
def avro_looks_up_what_it_may_not_register(url, name):
    conf = {"auto.register.schemas": False}
    writer = AvroSerializer(client(url), record(ID), conf=conf)
    raises(SchemaRegistryError, lambda: writer({"id": 1}, of(name)), http_status_code=404, error_code=40401)
    known = client(url).register_schema(name + "-value", Schema(record(ID), "AVRO"))
    equal(schema_id(AvroSerializer(client(url), record(ID), conf=conf)({"id": 1}, of(name))), known)


@case
def avro_by_guid_in_a_header(url, name):
    headers = []
    conf = {"schema.id.serializer": header_schema_id_serializer}
    order = {"id": 5, "note": "long enough for the client"}
    data = AvroSerializer(client(url), record(ID, NOTE), conf=conf)(order, of(name, headers))
    equal(len(headers), 1)
    equal(AvroDeserializer(client(url))(data, of(name, headers)), order)


@case
def avro_in_a_context(url, name):
    inside = "%s/contexts/.%s" % (url, name)
    data = AvroSerializer(client(inside), record(ID))({"id": 1}, of("orders"))
    equal(schema_id(data), 1)
    equal(AvroDeserializer(client(inside))(data, of("orders")), {"id": 1})


def json_schema(*required, **members):
    return json.dumps({
        "$schema": "http://json-schema.org/draft-07/schema#", "title": "Order", "type": "object",
        "properties": members, "required": list(required), "additionalProperties": False,
    })


NUMBER = {"type": "integer"}
TEXT = {"type": "string"}


@case
def json_goes_and_comes_back(url, name):
    data = JSONSerializer(json_schema("id", id=NUMBER), client(url))({"id": 1}, of(name))
    latest = client(url).get_latest_version(name + "-value")
    equal((schema_id(data), latest.schema.schema_type), (latest.schema_id, "JSON"))
    equal(JSONDeserializer(None, schema_registry_client=client(url))(data, of(name)), {"id": 1})
    # The serializer validates the data.
    writer = JSONSerializer(json_schema("id", id=NUMBER), client(url))
    raises(SerializationError, lambda: writer({"id": "one"}, of(name)))


@case
def json_evolves_and_refuses(url, name):
    JSONSerializer(json_schema("id", id=NUMBER), client(url))({"id": 1}, of(name))
    more = JSONSerializer(json_schema("id", id=NUMBER, note=TEXT), client(url))({"id": 1, "note": "n"}, of(name))
    equal(client(url).get_versions(name + "-value"), [1, 2])
    equal(JSONDeserializer(None, schema_registry_client=client(url))(more, of(name)), {"id": 1, "note": "n"})
    other = JSONSerializer(json_schema("id", id=TEXT, note=TEXT), client(url))
    raises(SchemaRegistryError, lambda: other({"id": "1"}, of(name)), http_status_code=409, error_code=409)


@case
def json_refers(url, name):
    address = json.dumps({"$id": "address.json", "type": "object", "properties": {"street": TEXT}})
    client(url).register_schema(name + "-address", Schema(address, "JSON"))
    schema = Schema(json_schema(home={"$ref": "address.json"}), "JSON", [SchemaReference("address.json", name + "-address", 1)])
    data = JSONSerializer(schema, client(url))({"home": {"street": "Main"}}, of(name))
    equal(JSONDeserializer(None, schema_registry_client=client(url))(data, of(name)), {"home": {"street": "Main"}})


@case
def json_is_normalized(url, name):
    subject = name + "-value"
    one = '{"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}}'
    other = '{"properties": {"b": {"type": "integer"}, "a": {"type": "string"}}, "type": "object"}'
    known = client(url).register_schema(subject, Schema(one, "JSON"), normalize_schemas=True)
    equal(client(url).register_schema(subject, Schema(other, "JSON"), normalize_schemas=True), known)
    equal(client(url).lookup_schema(subject, Schema(other, "JSON"), normalize_schemas=True).version, 1)
    data = JSONSerializer(other, client(url), conf={"normalize.schemas": True})({"a": "x"}, of(name))
    equal(schema_id(data), known)


FIELD = descriptor_pb2.FieldDescriptorProto
KINDS = {"int64": FIELD.TYPE_INT64, "string": FIELD.TYPE_STRING}


def proto(path, message, fields, imports=()):
    """Returns a message class as protoc generates it. Fields are (name, number, kind); the kind is one of KINDS or the name of a message."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
    for each in imports:
        pool.AddSerializedFile(each.DESCRIPTOR.file.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(name=path, package="shop", syntax="proto3")
    file.dependency.extend(each.DESCRIPTOR.file.name for each in imports)
    made = file.message_type.add(name=message)
    for name, number, kind in fields:
        field = made.field.add(name=name, number=number, label=FIELD.LABEL_OPTIONAL)
        if kind in KINDS:
            field.type = KINDS[kind]
        else:
            field.type, field.type_name = FIELD.TYPE_MESSAGE, kind
            if kind == ".google.protobuf.Timestamp":
                file.dependency.append("google/protobuf/timestamp.proto")
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("shop." + message))


CONF = {"use.deprecated.format": False}


@case
def protobuf_goes_and_comes_back(url, name):
    order = proto("order.proto", "Order", [("id", 1, "int64"), ("note", 2, "string")])
    data = ProtobufSerializer(order, client(url), CONF)(order(id=7, note="ä"), of(name))
    latest = client(url).get_latest_version(name + "-value")
    equal((schema_id(data), latest.schema.schema_type), (latest.schema_id, "PROTOBUF"))
    # The client sent a descriptor; it can be read as text or as a descriptor.
    assert "message Order" in latest.schema.schema_str, latest.schema.schema_str
    back = ProtobufDeserializer(order, CONF, client(url))(data, of(name))
    equal((back.id, back.note), (7, "ä"))


@case
def protobuf_is_the_same_as_text_and_as_descriptor(url, name):
    order = proto("order.proto", "Order", [("id", 1, "int64")])
    data = ProtobufSerializer(order, client(url), CONF)(order(id=7), of(name))
    text = client(url).get_schema(schema_id(data)).schema_str
    equal(client(url).register_schema(name + "-value", Schema(text, "PROTOBUF")), schema_id(data))
    equal(client(url).get_versions(name + "-value"), [1])


@case
def protobuf_evolves_and_refuses(url, name):
    first = proto("order.proto", "Order", [("id", 1, "int64")])
    second = proto("order.proto", "Order", [("id", 1, "int64"), ("note", 2, "string")])
    third = proto("order.proto", "Order", [("id", 1, "string"), ("note", 2, "string")])
    old = ProtobufSerializer(first, client(url), CONF)(first(id=1), of(name))
    new = ProtobufSerializer(second, client(url), CONF)(second(id=2, note="n"), of(name))
    equal(client(url).get_versions(name + "-value"), [1, 2])
    equal(ProtobufDeserializer(second, CONF, client(url))(old, of(name)).id, 1)
    equal(ProtobufDeserializer(first, CONF, client(url))(new, of(name)).id, 2)
    writer = ProtobufSerializer(third, client(url), CONF)
    raises(SchemaRegistryError, lambda: writer(third(id="3"), of(name)), http_status_code=409, error_code=409)


@case
def protobuf_refers(url, name):
    path = "%s/address.proto" % name
    address = proto(path, "Address", [("street", 1, "string")])
    person = proto("person.proto", "Person", [("home", 1, ".shop.Address"), ("since", 2, ".google.protobuf.Timestamp")], [address])
    message = person()
    message.home.street = "Main"
    message.since.seconds = 5
    data = ProtobufSerializer(person, client(url), CONF)(message, of(name))
    # The imported file was registered under its path; files that come with Protobuf were not.
    latest = client(url).get_latest_version(name + "-value")
    equal([(each.name, each.subject, each.version) for each in latest.schema.references], [(path, path, 1)])
    back = ProtobufDeserializer(person, CONF, client(url))(data, of(name))
    equal((back.home.street, back.since.seconds), ("Main", 5))


if __name__ == "__main__":
    main()
