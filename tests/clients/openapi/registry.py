"""Rules of schema registries that their OpenAPI documents can't express: valid schemas, levels, modes, names of rules.

The documents have no `pattern` for these values. With a pattern, the request would be refused before the registry could refuse it with
its own error code (such as 42201 or 42203), which clients expect. The documents name a `format` instead; it informs readers, and this file
generates values for it. There are few names of subjects and keys, so that one request reads what another one created.
"""

import schemathesis
from hypothesis import strategies as st

# Texts that are valid both as JSON Schema and as Avro.
TEXTS = ['{"type":"string"}', '{"type":"boolean"}', '{"type":"array","items":{"type":"string"}}']
AVRO = ['"string"', '{"type":"record","name":"Order","fields":[{"name":"id","type":"long"}]}', '{"type":"enum","name":"E","symbols":["A"]}']
PROTOBUF = ['syntax = "proto3";\nmessage Order {\n  int64 id = 1;\n}\n']
LEVELS = ["NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"]
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters=":./\\%?#"), min_size=1, max_size=60)


def _either_case(names):
    return st.sampled_from([*names, *(name.lower() for name in names)])


FORMATS = {
    "subject": st.sampled_from(["orders-value", "orders-key", "a", ":.team:orders-value"]) | WORDS,
    "context": st.sampled_from(["", ".", ".team", ":.team:", "team"]) | WORDS.map(lambda word: f".{word}"),
    "version": st.sampled_from(["latest", "-1", "1", "2", "3", "2147483647"]),
    "name": st.sampled_from(["payments", "orders-kek", "b"]) | WORDS,
    "schema": st.sampled_from([*TEXTS, *AVRO]),
    "schema-type": st.sampled_from(["AVRO", "JSON", "PROTOBUF"]),
    "reference-format": st.sampled_from(["", "default", "qualified"]),
    "entity-path": st.sampled_from(["Order", "Order.id", "object", "object.$items"]),
    "entity-type": st.sampled_from(["sr_record", "sr_field"]),
    "shape": st.sampled_from(["", "resolved", "ignore_extensions", "serialized"]),
    "level": _either_case(LEVELS),
    "policy": _either_case(["STRICT", "LENIENT"]),
    # In other modes, the following writes would be refused.
    "mode": _either_case(["READWRITE"]),
    "algorithm": st.sampled_from(["AES128_GCM", "AES256_GCM", "AES256_SIV"]),
    "lifecycle": _either_case(["STRONG", "WEAK"]),
}
for name, strategy in FORMATS.items():
    schemathesis.openapi.format(name, strategy)

LISTS_OF_RULES = {"migrationRules": "UPGRADE", "domainRules": "WRITE", "encodingRules": "READ"}
RULE_SETS = ("ruleSet", "rulesToMerge", "defaultRuleSet", "overrideRuleSet")
BATCHES = ("/associations:batch", "/associations:batchCreate", "/associations:batchUpsert")
METADATA = ("metadata", "defaultMetadata", "overrideMetadata")
FIELDS = ["alias", "normalize", "validate_fields", "compatibility_level", "compatibility_policy", "compatibility_group"]


def _is_positive(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


def _objects(value):
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _mend_rules(rules):
    """Gives rules unique names, and types, kinds and modes that clients know."""
    for name, mode in LISTS_OF_RULES.items():
        for index, rule in enumerate(_objects(rules.get(name))):
            rule["name"], rule["type"] = f"rule{index}", rule.get("type") or "CEL"
            rule["kind"] = "CONDITION" if rule.get("kind") else rule.get("kind")
            rule["mode"] = mode if rule.get("mode") else rule.get("mode")


def _mend_metadata(metadata):
    """Gives metadata valid tags."""
    for path, tags in (metadata.get("tags") or {}).items():
        metadata["tags"][path] = [tag if isinstance(tag, str) else "PII" for tag in tags or []]


def _mend_config(body):
    """Gives a configuration valid levels and policies. The document would allow empty ones."""
    for name, known in (("compatibility", LEVELS), ("compatibilityLevel", LEVELS), ("compatibilityPolicy", ["STRICT", "LENIENT"])):
        if isinstance(body.get(name), str) and body[name].upper() not in known:
            body[name] = known[0]


def _mend_schema(body):
    """Gives a schema a text of its type, and existing references. Removes ids, which only imports may have."""
    kind = body.get("schemaType") or "AVRO"
    known = {"AVRO": [*AVRO, *TEXTS], "JSON": TEXTS, "PROTOBUF": PROTOBUF}.get(kind, AVRO)
    if body.get("schema") not in known:
        body["schema"] = known[0]
    if body.get("references"):
        body["references"] = []
    for name in ("id", "version"):
        body.pop(name, None)
    # These tags fit the Avro record; the other texts have no such parts.
    lists = ("schemaTagsToAdd", "schemaTagsToRemove")
    if kind != "AVRO" or body["schema"] != AVRO[1]:
        for name in lists:
            body.pop(name, None)
    _mend_tags(body, lists)


def _mend_tags(body, lists):
    """Gives each change of tags a path and tags of a valid length."""
    for name in lists:
        for change in _objects(body.get(name)):
            change["schemaEntity"] = {"entityPath": "Order.id", "entityType": "sr_field"}
            change["tags"] = [tag[:255] or "PII" for tag in change.get("tags") or [] if isinstance(tag, str)][:100]


def _mend_change(body):
    """Makes the new version the next one."""
    _mend_tags(body, ("tagsToAdd", "tagsToRemove"))
    body.pop("newVersion", None)


def _mend_resource(body):
    """Gives a resource an id, a name and associations."""
    for name in ("resourceId", "resourceName", "resourceNamespace"):
        body[name] = body.get(name) or "orders"
    body["associations"] = _objects(body.get("associations"))[:3] or [{"subject": "orders-value"}]
    for index, one in enumerate(body["associations"]):
        one["associationType"] = f"value-{index}"
        if isinstance(one.get("schema"), dict):
            _mend(one["schema"])
            _mend_schema(one["schema"])


def _mend_batch(body):
    """Limits the number of resources, because each needs several writes."""
    body["requests"] = _objects(body.get("requests"))[:3] or [{}]
    for request in body["requests"]:
        _mend_resource(request)


def _mend(body):
    for name in RULE_SETS:
        if isinstance(body.get(name), dict):
            _mend_rules(body[name])
    for name in METADATA:
        if isinstance(body.get(name), dict):
            _mend_metadata(body[name])


def _fill(body, values):
    for name, value in values.items():
        body[name] = body.get(name) or value


def _mend_body(path, method, body):
    _mend(body)
    if "subjects" in path and path.endswith(("/tags", "/tag")):
        _mend_change(body)
    elif path.endswith(("/associations", "/associations/resources/{resourceId}")):
        _mend_resource(body)
    elif path.endswith(BATCHES):
        _mend_batch(body)
    elif path.endswith("/keks"):
        _fill(body, {"name": "payments", "kmsType": "aws-kms", "kmsKeyId": "1"})
    elif "/deks" in path:
        if not _is_version(body.get("version") or 1):
            body.pop("version")
        _fill(body, {"subject": "orders-value", "encryptedKeyMaterial": "c2VjcmV0"})
    elif path.startswith(("/config", "/v1/config")):
        _mend_config(body)
    elif path.startswith(("/mode", "/v1/mode")):
        _fill(body, {"mode": "READWRITE"})
    elif path.startswith(("/subjects", "/compatibility", "/v1/subjects")) and not path.endswith("/find"):
        _mend_schema(body)


def _is_version(value):
    text = str(value)
    return text in ("latest", "-1") or (text.isascii() and text.isdigit() and 1 <= int(text) < 1 << 31)


def _is_registry(operation):
    return any(word in operation.schema.raw_schema["info"]["title"] for word in ("SchemaRegistry", "Schema Registry"))


@schemathesis.hook
def before_call(context, case, *args):
    """Makes requests that are valid by the document valid by the other rules too. Invalid requests stay as they are."""
    if not _is_registry(case.operation) or not _is_positive(case):
        return
    path, method = case.operation.path, case.method.upper()
    if isinstance(case.body, dict):
        body = dict(case.body)
        _mend_body(path, method, body)
        case.body = body
    if "id" in (case.path_parameters or {}) and not str(case.path_parameters["id"]).isdigit():
        # The id of the registry, which is empty, came from a response.
        case.path_parameters = {**case.path_parameters, "id": 1}
    if "version" in (case.path_parameters or {}) and not _is_version(case.path_parameters["version"]):
        # Other values named `version`, such as the version of the release, came from responses.
        case.path_parameters = {**case.path_parameters, "version": "latest"}
    if isinstance(case.query, dict):
        query = dict(case.query)
        if query.get("version") and not _is_version(query["version"]):
            query["version"] = "latest"
        if path == "/v1/subjects/{subject}/versions" and method == "POST":
            for name in ("id", "version"):
                query.pop(name, None)
        if "unset" in query:
            query["unset"] = FIELDS[:1]
        case.query = query


# Violations of these keywords in one request of a batch are reported in its result; the whole batch succeeds.
OF_ITEMS = {"required", "minLength", "minItems", "format"}


def _is_batch(body):
    requests = body.get("requests") if isinstance(body, dict) else None
    return isinstance(requests, list) and 1 <= len(requests) <= 100


@schemathesis.hook
def filter_case(context, case):
    """Skips requests that are meant to be invalid but are not: a format is only a hint, and unknown parameters are ignored."""
    if not _is_registry(case.operation) or _is_positive(case) or case.meta is None:
        return True
    mutations = getattr(case.meta.phase.data, "mutations", ())
    violated = {keyword for one in mutations for keyword in one.keywords}
    if case.operation.path.endswith(BATCHES) and violated <= OF_ITEMS and _is_batch(case.body):
        return False
    return "format" not in violated or not violated <= {"format", "additionalProperties"}


# Errors of valid requests that depend on the stored data: a read-only mode, an id or a version that is in use, a schema or a key that is
# referenced, a context that has subjects, parts that a version does not have. And an operation that this registry never supports.
OF_STATE = {
    "OPERATION_NOT_PERMITTED", "REFERENCE_EXISTS", "ID_MISMATCH", "CONTEXT_NOT_EMPTY", "KEY_REFERENCE_EXISTS", "ASSOCIATION_FROZEN",
    "ENTITY_NOT_FOUND",
}
CODES_OF_STATE = {42205, 42206, 42207, 42211, 42271}
NEVER = {"testKek"}


@schemathesis.check
def valid_requests_are_refused_only_because_of_stored_data(ctx, response, case):
    """Checks that 400 and 422 for a valid request have a reason that depends on the stored data."""
    if response.status_code not in (400, 422) or not _is_registry(case.operation) or not _is_positive(case):
        return
    error = response.json()
    operation = case.operation.definition.raw.get("operationId")
    # The parts of a version depend on the registered text.
    if operation in NEVER or (operation == "modifySchemaTags" and error.get("error_code") == 42201):
        return
    assert error.get("reason") in OF_STATE or error.get("error_code") in CODES_OF_STATE, f"a valid request was refused: {error}"
