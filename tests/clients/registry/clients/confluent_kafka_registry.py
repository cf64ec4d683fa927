"""Confluent's Python client: registering, reading, deleting, configuring, and its handling of errors."""

import json
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka.schema_registry import (
    AssociationCreateOrUpdateInfo,
    AssociationCreateOrUpdateRequest,
    ConfigCompatibilityLevel,
    Metadata,
    MetadataProperties,
    Rule,
    RuleKind,
    RuleMode,
    RuleParams,
    RuleSet,
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    SchemaRegistryError,
    ServerConfig,
)
from confluent_kafka.schema_registry.rules.encryption.dek_registry.dek_registry_client import DekAlgorithm, DekRegistryClient

from suite import case, equal, main, raises


CLIENTS = {}


def fresh(url):
    # Without retries, so that errors are visible.
    return SchemaRegistryClient({"url": url, "max.retries": 0})


def client(url):
    """Returns a client with empty caches. Clients are reused, because creating one is slow."""
    known = CLIENTS.get(url) or fresh(url)
    CLIENTS[url] = known
    known.clear_caches()
    return known


def record(*fields, name="Order", **more):
    return Schema(json.dumps({"type": "record", "name": name, "fields": list(fields)}), "AVRO", **more)


ID = {"name": "id", "type": "long"}
NOTE = {"name": "note", "type": "string", "default": ""}
MUST = {"name": "must", "type": "string"}


def properties(**values):
    return Metadata(None, MetadataProperties(values), None)


@case
def registers_and_reads_back(url, name):
    first = client(url).register_schema_full_response(name, record(ID))
    assert first.schema_id > 0
    equal(client(url).register_schema(name, record(ID)), first.schema_id)
    reader = client(url)
    equal(json.loads(reader.get_schema(first.schema_id).schema_str), json.loads(record(ID).schema_str))
    equal(reader.get_schema(first.schema_id).schema_type, "AVRO")
    latest = reader.get_latest_version(name)
    equal((latest.subject, latest.version, latest.schema_id), (name, 1, first.schema_id))
    equal(reader.get_version(name, 1).guid, latest.guid)
    equal(client(url).get_schema_by_guid(latest.guid).schema_str, latest.schema.schema_str)
    found = client(url).lookup_schema(name, record(ID))
    equal((found.version, found.schema_id), (1, first.schema_id))


@case
def the_same_schema_has_the_same_id_in_all_subjects(url, name):
    some = record(ID, name="Order%s" % name[2:])
    one = client(url).register_schema(name + "-a", some)
    equal(client(url).register_schema(name + "-b", some), one)
    reader = client(url)
    equal(sorted(reader.get_subjects_by_schema_id(one)), [name + "-a", name + "-b"])
    versions = sorted((each.subject, each.version) for each in reader.get_schema_versions(one))
    equal(versions, [(name + "-a", 1), (name + "-b", 1)])


@case
def evolves(url, name):
    first = client(url).register_schema(name, record(ID))
    second = client(url).register_schema(name, record(ID, NOTE))
    assert second != first
    reader = client(url)
    equal(reader.get_versions(name), [1, 2])
    equal(reader.get_latest_version(name).schema_id, second)
    equal(reader.get_version(name, "latest").schema_id, second)


@case
def refuses_what_is_incompatible(url, name):
    client(url).register_schema(name, record(ID))
    error = raises(SchemaRegistryError, lambda: client(url).register_schema(name, record(ID, MUST)), http_status_code=409, error_code=409)
    assert "incompatible" in error.error_message and name in error.error_message, error.error_message
    assert "must" in error.error_message, error.error_message
    equal(client(url).get_versions(name), [1])


@case
def tells_whether_it_would_be_compatible(url, name):
    client(url).register_schema(name, record(ID))
    equal(client(url).test_compatibility(name, record(ID, NOTE)), True)
    equal(client(url).test_compatibility(name, record(ID, MUST)), False)
    equal(client(url).test_compatibility(name, record(ID, MUST), version=1), False)
    equal(client(url).test_compatibility_all_versions(name, record(ID, NOTE)), True)
    equal(client(url).test_compatibility_all_versions(name, record(ID, MUST)), False)
    raises(SchemaRegistryError, lambda: client(url).test_compatibility(name, record(ID), version=7), http_status_code=404, error_code=40402)


@case
def knows_what_is_not_there(url, name):
    some = client(url)
    raises(SchemaRegistryError, lambda: some.get_versions(name), http_status_code=404, error_code=40401)
    raises(SchemaRegistryError, lambda: some.get_latest_version(name), http_status_code=404, error_code=40401)
    raises(SchemaRegistryError, lambda: some.lookup_schema(name, record(ID)), http_status_code=404, error_code=40401)
    raises(SchemaRegistryError, lambda: some.delete_subject(name), http_status_code=404, error_code=40401)
    raises(SchemaRegistryError, lambda: some.get_schema(2000000000), http_status_code=404, error_code=40403)
    some.register_schema(name, record(ID))
    error = raises(SchemaRegistryError, lambda: some.get_version(name, 9), http_status_code=404, error_code=40402)
    equal(error.error_message, "Version 9 not found.")
    raises(SchemaRegistryError, lambda: some.lookup_schema(name, record(ID, MUST)), http_status_code=404, error_code=40403)


@case
def knows_what_is_wrong(url, name):
    some = client(url)
    wrong = Schema('{"type": "record"', "AVRO")
    raises(SchemaRegistryError, lambda: some.register_schema(name, wrong), http_status_code=422, error_code=42201)
    some.register_schema(name, record(ID))
    raises(SchemaRegistryError, lambda: some.get_version(name, 0), http_status_code=422, error_code=42202)
    raises(SchemaRegistryError, lambda: some.get_version(name, "newest"), http_status_code=422, error_code=42202)
    raises(SchemaRegistryError, lambda: some.set_compatibility(name, "sometimes"), http_status_code=422, error_code=42203)
    raises(SchemaRegistryError, lambda: some.update_mode(name, "SOMETIMES"), http_status_code=422, error_code=42204)


@case
def deletes_in_two_steps(url, name):
    some = client(url)
    first = some.register_schema(name, record(ID))
    some.register_schema(name, record(ID, NOTE))
    equal(some.delete_version(name, 1), 1)
    raises(SchemaRegistryError, lambda: client(url).delete_version(name, 1), http_status_code=404, error_code=40406)
    raises(SchemaRegistryError, lambda: client(url).delete_version(name, 2, permanent=True), http_status_code=404, error_code=40407)
    raises(SchemaRegistryError, lambda: client(url).get_version(name, 1), http_status_code=404, error_code=40402)
    equal(client(url).get_version(name, 1, deleted=True).schema_id, first)
    equal(client(url).get_versions(name), [2])
    equal(client(url).get_versions(name, deleted=True), [1, 2])
    # Data that was written with it can still be read.
    assert client(url).get_schema(first).schema_str
    # Registering it again creates a new version with the old id.
    equal(client(url).register_schema(name, record(ID)), first)
    equal(client(url).get_versions(name), [2, 3])
    raises(SchemaRegistryError, lambda: client(url).delete_subject(name, permanent=True), http_status_code=404, error_code=40405)
    equal(client(url).get_versions(name), [2, 3])
    equal(client(url).delete_subject(name), [2, 3])
    assert name not in client(url).get_subjects()
    assert name in client(url).get_subjects(deleted=True)
    raises(SchemaRegistryError, lambda: client(url).delete_subject(name), http_status_code=404, error_code=40404)


@case
def forgets_for_good(url, name):
    some = record(ID, name="Gone%s" % name[2:])
    client(url).register_schema(name, some)
    gone = {"http_status_code": 404, "error_code": 40405}
    error = raises(SchemaRegistryError, lambda: client(url).delete_subject(name, permanent=True), **gone)
    assert "was not deleted first" in error.error_message
    equal(client(url).delete_subject(name), [1])
    equal(client(url).delete_subject(name, permanent=True), [1])
    assert name not in client(url).get_subjects(deleted=True)
    raises(SchemaRegistryError, lambda: client(url).get_versions(name, deleted=True), http_status_code=404, error_code=40401)
    assert client(url).register_schema(name, record(ID, NOTE)) > 0
    equal(client(url).get_versions(name), [1])


@case
def lists_subjects(url, name):
    for suffix in "abc":
        client(url).register_schema(name + suffix, record(ID))
    some = client(url)
    equal(some.get_subjects(subject_prefix=name), [name + "a", name + "b", name + "c"])
    equal(some.get_subjects(subject_prefix=name, offset=1, limit=1), [name + "b"])
    assert {name + "a", name + "b", name + "c"} <= set(some.get_subjects())
    equal(sorted(some.get_schema_types()), ["AVRO", "JSON", "PROTOBUF"])


@case
def names_may_have_any_characters(url, name):
    for odd in ["a/b", "ü ö", "x?y=z&q", "100%", "dot.and:colon", "a+b"]:
        subject = name + odd
        client(url).register_schema(subject, record(ID))
        equal(client(url).get_latest_version(subject).subject, subject)
        equal(client(url).get_subjects(subject_prefix=subject), [subject])


@case
def refers_to_other_schemas(url, name):
    some = client(url)
    address = record({"name": "street", "type": "string"}, name="Address")
    some.register_schema(name + "-address", address)
    references = [SchemaReference("Address", name + "-address", 1)]
    person = record({"name": "home", "type": "Address"}, name="Person", references=references)
    known = some.register_schema(name, person)
    read = client(url).get_schema(known)
    equal([(each.name, each.subject, each.version) for each in read.references], [("Address", name + "-address", 1)])
    equal(some.get_referenced_by(name + "-address", 1), [known])
    resolved = json.loads(client(url).get_latest_version(name, fmt="resolved").schema.schema_str)
    equal(resolved["fields"][0]["type"]["name"], "Address")
    error = raises(SchemaRegistryError, lambda: client(url).delete_version(name + "-address", 1), http_status_code=422, error_code=42206)
    assert "One or more references exist" in error.error_message
    lost = record({"name": "home", "type": "Address"}, name="Lost", references=[SchemaReference("Address", name + "-address", 5)])
    raises(SchemaRegistryError, lambda: client(url).register_schema(name + "-lost", lost), http_status_code=422, error_code=42201)


@case
def keeps_metadata_and_rules(url, name):
    # Without tags, because this release of the client can't cache schemas with tags.
    metadata = Metadata(None, MetadataProperties({"owner": "shop"}), ["owner"])
    rule = Rule(
        "check", "ids are positive", RuleKind.CONDITION, RuleMode.WRITE, "CEL", ["PII"], RuleParams({"a": "b"}),
        "message.id > 0", "NONE", "ERROR", False,
    )
    some = record(ID, metadata=metadata, rule_set=RuleSet([], [rule]))
    known = client(url).register_schema(name, some)
    read = client(url).get_latest_version(name)
    equal(read.schema_id, known)
    equal(read.schema.metadata.properties.properties, {"owner": "shop"})
    equal(read.schema.metadata.sensitive, ["owner"])
    kept = read.schema.rule_set.domain_rules[0]
    equal((kept.name, kept.doc, kept.kind, kept.mode, kept.type), ("check", "ids are positive", RuleKind.CONDITION, RuleMode.WRITE, "CEL"))
    equal((kept.tags, kept.params.params, kept.expr, kept.on_success, kept.on_failure), (["PII"], {"a": "b"}, "message.id > 0", "NONE", "ERROR"))
    equal(client(url).get_schema(known).metadata.properties.properties, {"owner": "shop"})
    # The same text with other metadata is another schema.
    other = record(ID, metadata=properties(owner="stock"))
    assert client(url).register_schema(name, other) != known
    equal(client(url).get_versions(name), [1, 2])


@case
def finds_by_metadata(url, name):
    client(url).register_schema(name, record(ID, metadata=properties(major="1")))
    client(url).register_schema(name, record(ID, NOTE, metadata=properties(major="2")))
    equal(client(url).get_latest_with_metadata(name, {"major": "1"}).version, 1)
    equal(client(url).get_latest_with_metadata(name, {"major": "2"}).version, 2)
    raises(SchemaRegistryError, lambda: client(url).get_latest_with_metadata(name, {"major": "3"}), http_status_code=404)


@case
def configures_levels(url, name):
    some = client(url)
    raises(SchemaRegistryError, lambda: some.get_compatibility(name), http_status_code=404, error_code=40408)
    equal(some.get_compatibility(), "BACKWARD")
    equal(some.set_compatibility(name, "FORWARD")["compatibility"], "FORWARD")
    equal(client(url).get_compatibility(name), "FORWARD")
    client(url).register_schema(name, record(ID, NOTE))
    # FORWARD: fields without a default may not be removed, but fields may be added.
    equal(client(url).register_schema(name, record(ID, NOTE, MUST)) > 0, True)
    raises(SchemaRegistryError, lambda: client(url).register_schema(name, record(NOTE, MUST)), http_status_code=409)
    some.set_compatibility(name, "NONE")
    equal(client(url).register_schema(name, Schema('"string"', "AVRO")) > 0, True)
    old = client(url).delete_config(name)
    equal(old.compatibility_level, ConfigCompatibilityLevel.NONE)
    raises(SchemaRegistryError, lambda: client(url).get_config(name), http_status_code=404, error_code=40408)


@case
def looks_at_all_versions_if_asked_to(url, name):
    client(url).register_schema(name, record(ID, {"name": "a", "type": "string"}))
    client(url).register_schema(name, record(ID))
    # It is compatible only with the latest version.
    again = record(ID, {"name": "a", "type": "long", "default": 0})
    equal(client(url).test_compatibility_all_versions(name, again), True)
    client(url).set_compatibility(name, "BACKWARD_TRANSITIVE")
    equal(client(url).test_compatibility_all_versions(name, again), False)
    raises(SchemaRegistryError, lambda: client(url).register_schema(name, again), http_status_code=409)


@case
def compares_within_groups(url, name):
    config = ServerConfig(compatibility=ConfigCompatibilityLevel.FULL, compatibility_group="major")
    changed = client(url).set_config(name, config)
    equal(changed["compatibilityGroup"], "major")
    equal(client(url).get_config(name).compatibility_group, "major")
    client(url).register_schema(name, record(ID, metadata=properties(major="1")))
    raises(SchemaRegistryError, lambda: client(url).register_schema(name, record(MUST, metadata=properties(major="1"))), http_status_code=409)
    equal(client(url).register_schema(name, record(MUST, metadata=properties(major="2"))) > 0, True)
    equal(client(url).get_latest_with_metadata(name, {"major": "1"}).version, 1)


@case
def adds_metadata_and_rules_by_configuration(url, name):
    rule = Rule("all", None, RuleKind.CONDITION, RuleMode.WRITE, "CEL", None, None, "true", None, None, False)
    config = ServerConfig(
        default_metadata=properties(owner="nobody", team="shop"),
        override_metadata=properties(checked="yes"),
        default_rule_set=RuleSet(None, [rule]),
    )
    client(url).set_config(name, config)
    client(url).register_schema(name, record(ID, metadata=properties(owner="me")))
    kept = client(url).get_latest_version(name).schema
    equal(kept.metadata.properties.properties, {"owner": "me", "team": "shop", "checked": "yes"})
    equal([each.name for each in kept.rule_set.domain_rules], ["all"])


@case
def obeys_modes(url, name):
    some = client(url)
    equal(some.get_global_mode(), "READWRITE")
    raises(SchemaRegistryError, lambda: some.get_mode(name), http_status_code=404, error_code=40409)
    some.register_schema(name, record(ID))
    equal(some.update_mode(name, "READONLY"), "READONLY")
    equal(some.get_mode(name), "READONLY")
    refused = {"http_status_code": 422, "error_code": 42205}
    raises(SchemaRegistryError, lambda: client(url).register_schema(name, record(ID, NOTE)), **refused)
    raises(SchemaRegistryError, lambda: client(url).delete_subject(name), **refused)
    equal(client(url).get_latest_version(name).version, 1)
    equal(some.delete_mode(name), "READONLY")
    equal(client(url).register_schema(name, record(ID, NOTE)) > 0, True)
    raises(SchemaRegistryError, lambda: some.update_mode(name, "IMPORT"), **refused)
    equal(some.update_mode(name, "IMPORT", force=True), "IMPORT")


@case
def imports_with_ids(url, name):
    # The client can't send an id, so its HTTP connection is used.
    some = client(url)
    some.update_mode(name, "IMPORT")
    body = record(ID, name="Import%s" % name[2:]).to_dict()
    wanted = 1000000 + int(name[2:8], 16)
    equal(some._rest_client.post("subjects/%s/versions" % name, {**body, "id": wanted, "version": 7})["id"], wanted)
    equal(client(url).get_versions(name), [7])
    equal(client(url).get_version(name, 7).schema_id, wanted)
    other = record(ID, NOTE, name="Import%s" % name[2:]).to_dict()
    raises(
        SchemaRegistryError,
        lambda: some._rest_client.post("subjects/%s/versions" % name, {**other, "id": wanted, "version": 8}),
        http_status_code=422,
        error_code=42205,
    )
    some.update_mode(name, "READWRITE")
    assert client(url).register_schema(name, record(ID, NOTE, name="Import%s" % name[2:])) != wanted
    equal(client(url).get_versions(name), [7, 8])


@case
def contexts_are_registries_of_their_own(url, name):
    context = "." + name
    inside = url + "/contexts/" + context
    some = record(ID, name="Inside")
    client(inside).register_schema("s", some)
    equal(client(inside).get_latest_version("s").schema_id, 1)
    equal(client(inside).get_subjects(), [":%s:s" % context])
    equal(client(inside).get_schema(1).schema_str, client(inside).get_latest_version("s").schema.schema_str)
    raises(SchemaRegistryError, lambda: client(url).get_latest_version(name), http_status_code=404, error_code=40401)
    # The same with the context in the subject name.
    whole = ":%s:s" % context
    equal(client(url).get_latest_version(whole).schema_id, 1)
    equal(client(url).register_schema(":%s:t" % context, some), 1)
    equal(client(url).get_schema(1, subject_name=whole).schema_str, client(inside).get_schema(1).schema_str)
    assert context in client(url).get_contexts() and "." in client(url).get_contexts()
    equal(client(url).get_subjects(subject_prefix=":%s:" % context), [whole, ":%s:t" % context])
    client(inside).set_compatibility(level="NONE")
    equal(client(inside).get_compatibility(), "NONE")
    equal(client(url).get_compatibility(), "BACKWARD")
    equal(client(inside).register_schema("s", record(MUST, name="Inside")), 2)


@case
def many_at_once_agree(url, name):
    some = record(ID, name="Race%s" % name[2:])
    clients = [fresh(url) for _ in range(8)]

    def register(place):
        return [clients[place].register_schema("%s-%d" % (name, subject), some) for subject in range(8)]

    with ThreadPoolExecutor(8) as pool:
        ids = [each for some_ids in pool.map(register, range(8)) for each in some_ids]
    equal((len(ids), len(set(ids))), (64, 1))
    equal([client(url).get_versions("%s-%d" % (name, subject)) for subject in range(8)], [[1]] * 8)


@case
def associates_subjects_with_topics(url, name):
    some = client(url)
    info = AssociationCreateOrUpdateInfo(subject=name + "-value", association_type="value", lifecycle="WEAK", schema=record(ID))
    request = AssociationCreateOrUpdateRequest(name, "cluster", "cluster:" + name, "topic", [info])
    made = some.create_association(request)
    equal((made.resource_name, made.associations[0].subject), (name, name + "-value"))
    equal(some.get_latest_version(name + "-value").version, 1)
    found = some.get_associations_by_resource_name(name, "cluster", resource_type="topic", association_types=["value"])
    equal([(each.subject, each.resource_id, each.association_type) for each in found], [(name + "-value", "cluster:" + name, "value")])
    some.delete_associations("cluster:" + name, resource_type="topic", association_types=["value"])
    equal(some.get_associations_by_resource_name(name, "cluster", resource_type="topic"), [])


@case
def keeps_encrypted_keys(url, name):
    def keys():
        return DekRegistryClient({"url": url, "max.retries": 0})

    raises(SchemaRegistryError, lambda: keys().get_kek(name), http_status_code=404)
    kek = keys().register_kek(name, "local-kms", "mykey", kms_props={"a": "b"}, doc="for tests")
    equal((kek.name, kek.kms_type, kek.kms_key_id, kek.shared), (name, "local-kms", "mykey", False))
    read = keys().get_kek(name)
    equal((read.kms_props.properties, read.doc), ({"a": "b"}, "for tests"))
    raises(SchemaRegistryError, lambda: keys().register_kek(name, "local-kms", "other"), http_status_code=409)
    raises(SchemaRegistryError, lambda: keys().get_dek(name, "orders-value"), http_status_code=404)
    dek = keys().register_dek(name, "orders-value", "c2VjcmV0", DekAlgorithm.AES256_GCM)
    equal((dek.kek_name, dek.subject, dek.version, dek.encrypted_key_material), (name, "orders-value", 1, "c2VjcmV0"))
    keys().register_dek(name, "orders-value", "b3RoZXI=", DekAlgorithm.AES256_GCM, version=2)
    equal(keys().get_dek(name, "orders-value").encrypted_key_material, "c2VjcmV0")
    equal(keys().get_dek(name, "orders-value", version=-1).version, 2)
    raises(SchemaRegistryError, lambda: keys().register_dek(name, "orders-value", "b3RoZXI="), http_status_code=409)


if __name__ == "__main__":
    main()
