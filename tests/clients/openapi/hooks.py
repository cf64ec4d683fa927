"""Rules that JSON Schema and OpenAPI can't express. With them, generated valid requests are really valid.

No check is disabled here. The descriptions of the operations state these rules.
"""

import schemathesis
from hypothesis import strategies as st

import public_apis  # noqa: F401  (imported for the hooks that it registers)
import registry  # noqa: F401

# Cursors come from responses, so clients can't invent one. The empty cursor means "from the start".
schemathesis.openapi.format("cursor", st.just(""))


def _keys(items, *path):
    for item in items if isinstance(items, list) else []:
        for name in path:
            item = item.get(name) if isinstance(item, dict) else None
        if isinstance(item, str):
            yield item


def _distinct(keys):
    keys = list(keys)
    return len(keys) == len(set(keys))


def _fits(body):
    """Whether all writes of the request have different keys. `uniqueItems` compares whole items, not keys."""
    if not isinstance(body, dict):
        return True
    lists = [_keys(body.get("items"), "key")]
    for name in ("thenOperations", "elseOperations"):
        operations = body.get(name)
        lists.append([*_keys(operations, "store", "key"), *_keys(operations, "remove", "key")])
    return all(_distinct(keys) for keys in lists)


def _one_condition(headers):
    """Whether at most one of `If-Match` and `If-None-Match` is present, as writes require."""
    names = {name.lower() for name in headers or {}}
    return not {"if-match", "if-none-match"} <= names


@schemathesis.hook
def before_call(context, case, *args):
    """Removes one of two parameters that exclude each other. Examples and boundary values have both."""
    if case.method.upper() not in ("GET", "HEAD") and not _one_condition(case.headers):
        for name in [name for name in case.headers if name.lower() == "if-none-match"]:
            del case.headers[name]
    # A removal needs either a range or `all=true`.
    if case.method.upper() == "DELETE" and case.operation.path == "/v1/keys":
        query = case.query if isinstance(case.query, dict) else {}
        if any(query.get(name) for name in ("prefix", "startKey", "endKey")):
            query.pop("all", None)
        elif query.get("all") in (None, False, "false"):
            query["all"] = "true"
        case.query = query
    # A watch has no end. `key` and `prefix` exclude each other.
    if case.operation.path == "/v1/watch":
        case.headers["x-request-timeout"] = "200ms"
        # Only a cursor of an earlier answer is one.
        for name in [name for name in case.headers if name.lower() == "last-event-id"]:
            del case.headers[name]
        if isinstance(case.query, dict):
            case.query.pop("cursor", None)
            if case.query.get("key"):
                case.query.pop("prefix", None)
    # The document lists parameters that are always refused, so that they are not ignored. `recurse` and `cas` exclude each other.
    if case.operation.path == "/v1/kv/{key}" and isinstance(case.query, dict):
        for name in ("index", "acquire", "release"):
            case.query.pop(name, None)
        if case.method.upper() == "DELETE" and "recurse" in case.query:
            case.query.pop("cas", None)
    if case.operation.path.startswith("/v3/kv/") and _is_refused(case.body):
        case.body = _ANSWERED[case.operation.path]


# Valid requests of the operations of etcd.
_ANSWERED = {
    "/v3/kv/range": {"key": "Zm9v"},
    "/v3/kv/put": {"key": "Zm9v", "value": "YmFy"},
    "/v3/kv/deleterange": {"key": "Zm9v"},
    "/v3/kv/txn": {"success": [{"request_range": {"key": "Zm9v"}}]},
}


def _is_refused(body):
    """Whether an operation of etcd refuses the request by a rule that is not in its schema: a missing key, history, leases, nested
    transactions. A stricter schema would refuse them earlier, without etcd's own error message."""
    if isinstance(body, list):
        return any(_is_refused(item) for item in body)
    if not isinstance(body, dict):
        return False
    if not {"compare", "success", "failure"} & set(body) and not any(name.startswith("request_") for name in body) and not body.get("key"):
        return True
    if body.get("ignore_value") or body.get("ignore_lease") or body.get("lease") or body.get("revision") or "request_txn" in body:
        return True
    return any(_is_refused(value) for value in body.values() if isinstance(value, (dict, list)))


@schemathesis.hook
def filter_case(context, case):
    return _fits(case.body) and (case.method.upper() in ("GET", "HEAD") or _one_condition(case.headers))
