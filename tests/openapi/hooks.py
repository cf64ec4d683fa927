"""What JSON Schema and OpenAPI have no words for, so that requests which a document allows are requests that can be answered.

Nothing here leaves out a check. The rules stand in the descriptions of the operations.
"""

import schemathesis
from hypothesis import strategies as st

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


@schemathesis.hook
def filter_case(context, case):
    return _fits(case.body) and (case.method.upper() in ("GET", "HEAD") or _one_condition(case.headers))
