"""What JSON Schema and OpenAPI have no words for, so that requests which a document allows are requests that can be answered.

Nothing here leaves out a check. The rules stand in the descriptions of the operations.
"""

import schemathesis
from hypothesis import strategies as st

import registry  # noqa: F401  (what it registers counts)

# A cursor comes from an answer, and no client can make one up. The empty one is "from the start".
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
    """No two writes of one request have the same key: `uniqueItems` compares whole items."""
    if not isinstance(body, dict):
        return True
    lists = [_keys(body.get("items"), "key")]
    for name in ("thenOperations", "elseOperations"):
        operations = body.get(name)
        lists.append([*_keys(operations, "store", "key"), *_keys(operations, "remove", "key")])
    return all(_distinct(keys) for keys in lists)


def _one_condition(headers):
    """`If-Match` and `If-None-Match` exclude each other in a request that writes: OpenAPI can't say it of two parameters."""
    names = {name.lower() for name in headers or {}}
    return not {"if-match", "if-none-match"} <= names


@schemathesis.hook
def before_call(context, case, *args):
    """Of parameters that exclude each other, examples and boundary values still have all: one of them goes."""
    if case.method.upper() not in ("GET", "HEAD") and not _one_condition(case.headers):
        for name in [name for name in case.headers if name.lower() == "if-none-match"]:
            del case.headers[name]
    # Keys are removed by a range, or all of them by `all=true`: one of the two.
    if case.method.upper() == "DELETE" and case.operation.path == "/v1/keys":
        query = case.query if isinstance(case.query, dict) else {}
        if any(query.get(name) for name in ("prefix", "startKey", "endKey")):
            query.pop("all", None)
        elif query.get("all") in (None, False, "false"):
            query["all"] = "true"
        case.query = query
    # Parameters that are listed so that they are refused with a reason instead of being passed over, and two that exclude each
    # other.
    if case.operation.path == "/v1/kv/{key}" and isinstance(case.query, dict):
        for name in ("index", "acquire", "release"):
            case.query.pop(name, None)
        if case.method.upper() == "DELETE" and "recurse" in case.query:
            case.query.pop("cas", None)
    if case.operation.path.startswith("/v3/kv/") and _is_refused(case.body):
        case.body = _ANSWERED[case.operation.path]


# Requests that etcd's operations answer.
_ANSWERED = {
    "/v3/kv/range": {"key": "Zm9v"},
    "/v3/kv/put": {"key": "Zm9v", "value": "YmFy"},
    "/v3/kv/deleterange": {"key": "Zm9v"},
    "/v3/kv/txn": {"success": [{"request_range": {"key": "Zm9v"}}]},
}


def _is_refused(body):
    """What etcd's operations refuse by a rule that its schemas don't have: requests without a key, history, leases, transactions
    inside of transactions. They are refused in etcd's words, which a stricter schema would not let come up."""
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
