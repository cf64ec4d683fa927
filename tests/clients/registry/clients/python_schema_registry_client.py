"""python-schema-registry-client: a client of its own, with serializers for Avro and JSON."""

from schema_registry.client import SchemaRegistryClient, schema
from schema_registry.client.errors import ClientError
from schema_registry.serializers import AvroMessageSerializer, JsonMessageSerializer

from suite import case, equal, main, raises


def client(url):
    return SchemaRegistryClient(url=url)


def record(*fields, name="Order"):
    return schema.AvroSchema({"type": "record", "name": name, "fields": list(fields)})


ID = {"name": "id", "type": "long"}
NOTE = {"name": "note", "type": "string", "default": "none"}
MUST = {"name": "must", "type": "string"}


def json_schema(**members):
    return schema.JsonSchema({"title": "Order", "type": "object", "properties": members, "additionalProperties": False})


@case
def registers_and_reads_back(url, name):
    known = client(url).register(name, record(ID))
    equal(client(url).register(name, record(ID)), known)
    equal(client(url).get_by_id(known).raw_schema["fields"], [ID])
    latest = client(url).get_schema(name)
    equal((latest.subject, latest.version, latest.schema_id), (name, 1, known))
    equal(client(url).check_version(name, record(ID)).version, 1)
    equal([(each.subject, each.version) for each in client(url).get_schema_subject_versions(known) if each.subject == name], [(name, 1)])
    assert name in client(url).get_subjects()


@case
def evolves_and_is_refused(url, name):
    client(url).register(name, record(ID))
    client(url).register(name, record(ID, NOTE))
    equal(client(url).get_versions(name), [1, 2])
    raises(ClientError, lambda: client(url).register(name, record(ID, NOTE, MUST)), message="Incompatible schema", http_code=409)
    equal(client(url).test_compatibility(name, record(ID)), True)
    equal(client(url).test_compatibility(name, record(ID, MUST)), False)
    told = client(url).test_compatibility(name, record(ID, MUST), verbose=True)
    equal(told["is_compatible"], False)
    assert any("must" in message for message in told["messages"]), told


@case
def knows_what_is_not_there(url, name):
    equal(client(url).get_schema(name), None)
    equal(client(url).get_by_id(2000000000), None)
    equal(client(url).check_version(name, record(ID)), None)
    equal(client(url).get_versions(name), [])
    equal(client(url).delete_subject(name), [])
    equal(client(url).test_compatibility(name, record(ID)), True)


@case
def configures(url, name):
    equal(client(url).get_compatibility(), "BACKWARD")
    equal(client(url).update_compatibility("FULL", name), True)
    equal(client(url).get_compatibility(name), "FULL")


@case
def deletes(url, name):
    client(url).register(name, record(ID))
    client(url).register(name, record(ID, NOTE))
    equal(client(url).delete_version(name, 1), 1)
    equal(client(url).get_versions(name), [2])
    equal(client(url).delete_subject(name), [2])
    equal(client(url).get_schema(name), None)


@case
def avro_goes_and_comes_back(url, name):
    data = AvroMessageSerializer(client(url)).encode_record_with_schema(name, record(ID, NOTE), {"id": 1, "note": "n"})
    equal(AvroMessageSerializer(client(url)).decode_message(data), {"id": 1, "note": "n"})
    reader = AvroMessageSerializer(client(url), reader_schema=record(ID).raw_schema)
    equal(reader.decode_message(data), {"id": 1})


@case
def json_goes_and_comes_back(url, name):
    data = JsonMessageSerializer(client(url)).encode_record_with_schema(name, json_schema(id={"type": "integer"}), {"id": 1})
    equal(JsonMessageSerializer(client(url)).decode_message(data), {"id": 1})
    raises(ClientError, lambda: client(url).register(name, json_schema(id={"type": "string"})), http_code=409)


if __name__ == "__main__":
    main()
