"""The JSON API of etcd v3, used by the client etcd3gw and by plain HTTP. Runs against Prism and against etcd."""

import base64
import json

from etcd3gw import exceptions
from etcd3gw.client import Etcd3Client

from cases import Raw, case, equal, main, ours, raises


class Setup:
    def __init__(self, host, port):
        self.client = Etcd3Client(host=host, port=port)
        self.http = Raw(host, port)

    def raw(self, operation, message, **headers):
        """Sends a message and returns the response. A message that is not a string is sent as JSON."""
        body = message if isinstance(message, (str, bytes)) else json.dumps(message)
        return self.http("POST", "/v3/" + operation, body, headers)

    def send(self, operation, message):
        answer = self.raw(operation, message)
        equal(answer.status, 200)
        equal(answer.media, "application/json")
        return json.loads(answer.body)

    def refused(self, operation, message, status, code, text):
        answer = self.raw(operation, message)
        equal((answer.status, answer.media), (status, "application/json"))
        told = json.loads(answer.body)
        assert text in told["message"], told
        equal((told["code"], told["error"]), (code, told["message"]))


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def after(prefix):
    """Returns the end of the range of all keys with a prefix."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def names(found, at):
    return [one["key"].decode().removeprefix(at) for _, one in found]


def keys_of(reply, at):
    return [base64.b64decode(one["key"]).decode().removeprefix(at) for one in reply.get("kvs", [])]


def fill(to, at, *keys):
    for key in keys:
        to.client.put(at + key, key)


@case
def the_client_finds_out_the_version(to, at):
    equal(to.client.api_path, "/v3/")
    answer = to.http("GET", "/version")
    assert set(json.loads(answer.body)) >= {"etcdserver", "etcdcluster"}


@case
def a_value_comes_back(to, at):
    equal(to.client.put(at + "a", "one"), True)
    equal(to.client.get(at + "a"), [b"one"])
    ((value, one),) = to.client.get(at + "a", metadata=True)
    equal((value, one["key"].decode()), (b"one", at + "a"))
    equal((one["version"], one["create_revision"]), ("1", one["mod_revision"]))
    equal(sorted(one), ["create_revision", "key", "mod_revision", "version"])
    equal(to.client.get(at + "none"), [])


@case
def every_byte_is_kept(to, at):
    value = bytes(range(256)) * 3
    to.client.put(at + "bytes", value)
    equal(to.client.get(at + "bytes"), [value])
    to.client.put(at + "empty", "")
    equal(to.client.get(at + "empty"), [b""])
    assert "value" not in to.send("kv/range", {"key": b64(at + "empty")})["kvs"][0]


@case
def keys_beyond_ascii(to, at):
    key = (at + "größe/日本 #?%").encode()
    to.client.put(key, "x")
    equal(to.client.get(key, metadata=True)[0][1]["key"], key)


@case
def versions_and_revisions_count(to, at):
    fill(to, at, "a", "a", "a")
    ((_, one),) = to.client.get(at + "a", metadata=True)
    equal(one["version"], "3")
    assert int(one["mod_revision"]) > int(one["create_revision"])
    to.client.delete(at + "a")
    fill(to, at, "a")
    ((_, again),) = to.client.get(at + "a", metadata=True)
    equal((again["version"], again["create_revision"]), ("1", again["mod_revision"]))
    assert int(again["mod_revision"]) > int(one["mod_revision"])


@case
def the_header_has_the_revision(to, at):
    put = to.send("kv/put", {"key": b64(at + "a"), "value": b64("1")})
    ranged = to.send("kv/range", {"key": b64(at + "a")})
    equal(put["header"]["revision"], ranged["kvs"][0]["mod_revision"])
    assert int(ranged["header"]["revision"]) >= int(put["header"]["revision"])
    again = to.send("kv/put", {"key": b64(at + "a"), "value": b64("1")})
    assert int(again["header"]["revision"]) > int(put["header"]["revision"])


@case
def numbers_are_texts_and_zeros_are_left_out(to, at):
    fill(to, at, "a")
    reply = to.send("kv/range", {"key": b64(at + "a")})
    equal(reply["count"], "1")
    equal({kind for one in reply["kvs"] for kind in map(type, one.values())}, {str})
    assert "more" not in reply
    reply = to.send("kv/range", {"key": b64(at + "none")})
    equal(set(reply), {"header"})
    reply = to.send("kv/deleterange", {"key": b64(at + "none")})
    equal(set(reply), {"header"})


@case
def a_prefix_is_a_range(to, at):
    fill(to, at, "b", "a/x", "a/y/z", "a", "ab")
    found = to.client.get_prefix(at + "a")
    equal(names(found, at), ["a", "a/x", "a/y/z", "ab"])
    equal([value.decode() for value, _ in found], ["a", "a/x", "a/y/z", "ab"])
    equal(to.client.get_prefix(at + "zz"), [])


@case
def a_range_has_two_ends(to, at):
    fill(to, at, "a", "b", "c", "d")
    reply = to.send("kv/range", {"key": b64(at + "b"), "range_end": b64(at + "d")})
    equal((keys_of(reply, at), reply["count"]), (["b", "c"], "2"))
    reply = to.send("kv/range", {"key": b64(at + "d"), "range_end": b64(at + "b")})
    equal(keys_of(reply, at), [])
    reply = to.send("kv/range", {"key": b64(at + "b"), "range_end": b64(at + "b")})
    equal(keys_of(reply, at), [])


@case
def a_zero_byte_is_no_end(to, at):
    fill(to, at, "a", "b")
    assert {at + "a", at + "b"} <= {one["key"].decode() for _, one in to.client.get_all()}
    reply = to.send("kv/range", {"key": b64(at + "b"), "range_end": "AA=="})
    equal(keys_of(reply, at)[0], "b")
    assert "a" not in keys_of(reply, at)


@case
def sorting(to, at):
    fill(to, at, "a", "c", "b")
    to.client.put(at + "c", "1")
    to.client.put(at + "b", "3")
    to.client.put(at + "a", "2")
    to.client.put(at + "a", "2")
    sorted_ = lambda order, target: names(to.client.get_prefix(at, sort_order=order, sort_target=target), at)
    equal(sorted_("ascend", "key"), ["a", "b", "c"])
    equal(sorted_("descend", "key"), ["c", "b", "a"])
    equal(sorted_("ascend", "create"), ["a", "c", "b"])
    equal(sorted_("descend", "create"), ["b", "c", "a"])
    equal(sorted_("ascend", "mod"), ["c", "b", "a"])
    equal(sorted_("descend", "mod"), ["a", "b", "c"])
    equal(sorted_("ascend", "value"), ["c", "a", "b"])
    equal(sorted_("descend", "value"), ["b", "a", "c"])
    equal(sorted_("descend", "version")[0], "a")
    equal(sorted_("ascend", "version")[2], "a")
    equal(sorted_("none", "mod"), ["c", "b", "a"])
    named = {"key": b64(at), "range_end": b64(after(at)), "sort_order": "DESCEND", "sort_target": "CREATE"}
    equal(keys_of(to.send("kv/range", named), at), ["b", "c", "a"])


@case
def a_limit_leaves_more(to, at):
    fill(to, at, *"abcde")
    get = lambda **more: to.send("kv/range", {"key": b64(at), "range_end": b64(after(at)), **more})
    reply = get(limit=2)
    equal((keys_of(reply, at), reply["more"], reply["count"]), (["a", "b"], True, "5"))
    reply = get(limit="2", sort_order="DESCEND")
    equal((keys_of(reply, at), reply["more"], reply["count"]), (["e", "d"], True, "5"))
    for limit in [0, 5, 6]:
        reply = get(limit=limit)
        equal((len(reply["kvs"]), "more" in reply), (5, False))
    equal(names(to.client.get(at, metadata=True, range_end=after(at), limit=1), at), ["a"])


@case
def pages_by_the_last_key(to, at):
    fill(to, at, *("%02d" % number for number in range(25)))
    found, key = [], at
    while True:
        reply = to.send("kv/range", {"key": b64(key), "range_end": b64(after(at)), "limit": 10})
        found += keys_of(reply, at)
        if not reply.get("more"):
            break
        key = at + found[-1] + "\0"
    equal(found, ["%02d" % number for number in range(25)])


@case
def keys_and_counts_only(to, at):
    fill(to, at, "a", "b", "c")
    reply = to.send("kv/range", {"key": b64(at), "range_end": b64(after(at)), "keys_only": True})
    equal((keys_of(reply, at), reply["count"]), (["a", "b", "c"], "3"))
    assert not any("value" in one for one in reply["kvs"])
    equal({one["version"] for one in reply["kvs"]}, {"1"})
    reply = to.send("kv/range", {"key": b64(at + "a"), "keys_only": True})
    assert "value" not in reply["kvs"][0]
    reply = to.send("kv/range", {"key": b64(at), "range_end": b64(after(at)), "count_only": True})
    equal((reply["count"], "kvs" in reply), ("3", False))
    equal(to.send("kv/range", {"key": b64(at + "a"), "count_only": True})["count"], "1")
    assert "count" not in to.send("kv/range", {"key": b64(at + "none"), "count_only": True})


@case
def revisions_filter(to, at):
    fill(to, at, "a", "b", "c")
    fill(to, at, "a")
    found = {one["key"].decode().removeprefix(at): one for _, one in to.client.get_prefix(at)}
    get = lambda **bounds: names(to.client.get(at, metadata=True, range_end=after(at), **bounds), at)
    equal(get(min_mod_revision=int(found["c"]["mod_revision"])), ["a", "c"])
    equal(get(max_mod_revision=int(found["c"]["mod_revision"])), ["b", "c"])
    equal(get(min_create_revision=int(found["b"]["create_revision"])), ["b", "c"])
    equal(get(max_create_revision=int(found["b"]["create_revision"])), ["a", "b"])
    equal(get(min_mod_revision=2**62), [])


@case
def put_tells_what_was_there(to, at):
    message = {"key": b64(at + "a"), "value": b64("1"), "prev_kv": True}
    assert "prev_kv" not in to.send("kv/put", message)
    reply = to.send("kv/put", {**message, "value": b64("2")})
    before = reply["prev_kv"]
    equal((before["key"], before["value"], before["version"]), (b64(at + "a"), b64("1"), "1"))
    assert int(before["mod_revision"]) < int(reply["header"]["revision"])
    equal(to.client.get(at + "a"), [b"2"])


@case
def put_that_keeps_the_lease_needs_the_key(to, at):
    message = {"key": b64(at + "a"), "value": b64("1"), "ignore_lease": True}
    to.refused("kv/put", message, 400, 3, "etcdserver: key not found")
    fill(to, at, "a")
    to.send("kv/put", message)
    equal(to.client.get(at + "a"), [b"1"])


@case
def delete_tells_how_many(to, at):
    fill(to, at, "a", "b/1", "b/2", "c")
    equal(to.client.delete(at + "a"), True)
    equal(to.client.delete(at + "a"), False)
    equal(to.client.delete_prefix(at + "b/"), True)
    equal(to.client.delete_prefix(at + "b/"), False)
    equal(names(to.client.get_prefix(at), at), ["c"])
    fill(to, at, "d", "e")
    reply = to.send("kv/deleterange", {"key": b64(at + "c"), "range_end": b64(at + "e")})
    equal(reply["deleted"], "2")
    equal(names(to.client.get_prefix(at), at), ["e"])


@case
def delete_of_everything(to, at):
    fill(to, at, "a", "b")
    reply = to.send("kv/deleterange", {"key": b64(at + "b"), "range_end": b64(at + "a")})
    equal(set(reply), {"header"})
    assert int(to.send("kv/deleterange", {"key": "AA==", "range_end": "AA=="})["deleted"]) >= 2
    equal(to.client.get_all(), [])
    equal(set(to.send("kv/deleterange", {"key": "AA==", "range_end": "AA=="})), {"header"})


@case
def delete_tells_what_was_there(to, at):
    fill(to, at, "a")
    reply = to.send("kv/deleterange", {"key": b64(at + "a"), "prev_kv": True})
    equal(reply["deleted"], "1")
    (before,) = reply["prev_kvs"]
    equal((before["key"], before["value"], before["version"]), (b64(at + "a"), b64("a"), "1"))
    equal(set(to.send("kv/deleterange", {"key": b64(at + "a"), "prev_kv": True})), {"header"})


@case
def create_writes_once(to, at):
    equal(to.client.create(at + "a", "one"), True)
    equal(to.client.create(at + "a", "two"), False)
    equal(to.client.get(at + "a"), [b"one"])


@case
def replace_compares_the_value(to, at):
    equal(to.client.replace(at + "a", "one", "two"), False)
    equal(to.client.get(at + "a"), [])
    fill(to, at, "a")
    equal(to.client.replace(at + "a", "a", "two"), True)
    equal(to.client.replace(at + "a", "a", "three"), False)
    equal(to.client.get(at + "a"), [b"two"])


@case
def one_of_many_that_want_to_create_does(to, at):
    from concurrent.futures import ThreadPoolExecutor

    def create(number):
        return Setup(to.http.host, to.http.port).client.create(at + "lock", str(number))

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(create, range(16)))
    equal(results.count(True), 1)
    equal(to.client.get(at + "lock"), [str(results.index(True)).encode()])


@case
def comparisons_of_numbers(to, at):
    fill(to, at, "a", "a")
    ((_, one),) = to.client.get(at + "a", metadata=True)
    none = {"VERSION": "0", "CREATE": "0", "MOD": "0"}
    there = {"VERSION": "2", "CREATE": one["create_revision"], "MOD": one["mod_revision"]}
    members = {"VERSION": "version", "CREATE": "create_revision", "MOD": "mod_revision"}

    def holds(key, target, result, number):
        compare = {"key": b64(at + key), "target": target, "result": result, members[target]: number}
        return to.client.transaction({"compare": [compare]}).get("succeeded", False)

    for key, facts in [("a", there), ("none", none)]:
        for target, fact in facts.items():
            equal(holds(key, target, "EQUAL", fact), True)
            equal(holds(key, target, "EQUAL", int(fact) + 1), False)
            equal(holds(key, target, "NOT_EQUAL", int(fact)), False)
            equal(holds(key, target, "NOT_EQUAL", str(int(fact) + 1)), True)
            equal(holds(key, target, "LESS", int(fact) + 1), True)
            equal(holds(key, target, "LESS", fact), False)
            equal(holds(key, target, "GREATER", fact), False)
            if int(fact):
                equal(holds(key, target, "GREATER", int(fact) - 1), True)


@case
def comparisons_have_defaults_and_numbers_for_names(to, at):
    fill(to, at, "a")
    run = lambda *compare: to.send("kv/txn", {"compare": list(compare)}).get("succeeded", False)
    key = b64(at + "a")
    equal(run(), True)
    equal(run({"key": key, "version": "1"}), True)
    equal(run({"key": key}), False)
    equal(run({"key": b64(at + "none")}), True)
    equal(run({"key": key, "target": 0, "result": 1, "version": 0}), True)
    equal(run({"key": key, "target": 3, "result": 0, "value": b64("a")}), True)
    equal(run({"key": key, "target": "VALUE", "value": b64("b")}), False)
    equal(run({"key": b64(at + "none"), "target": "VALUE", "value": ""}), False)
    equal(run({"key": key, "version": "1"}, {"key": key, "version": "2"}), False)


@case
def a_transaction_answers_each_operation(to, at):
    fill(to, at, "a")
    a, b, none = (b64(at + key) for key in ["a", "b", "none"])
    reply = to.send("kv/txn", {
        "compare": [{"key": a, "target": "VALUE", "value": b64("a")}],
        "success": [
            {"request_range": {"key": a}},
            {"request_put": {"key": b, "value": b64("new")}},
            {"request_delete_range": {"key": a}},
            {"request_delete_range": {"key": none}},
            {"request_range": {"key": none}},
        ],
        "failure": [{"request_put": {"key": a, "value": b64("wrong")}}],
    })
    equal(reply["succeeded"], True)
    ranged, put, deleted, nothing, empty = reply["responses"]
    (one,) = ranged["response_range"]["kvs"]
    equal((one["key"], one["value"], one["version"], ranged["response_range"]["count"]), (a, b64("a"), "1", "1"))
    equal(put["response_put"]["header"]["revision"], reply["header"]["revision"])
    equal(deleted["response_delete_range"]["deleted"], "1")
    assert "deleted" not in nothing["response_delete_range"]
    assert "kvs" not in empty["response_range"]
    equal([len(one) for one in reply["responses"]], [1] * 5)
    equal((to.client.get(at + "a"), to.client.get(at + "b")), ([], [b"new"]))


@case
def a_transaction_does_the_other_list(to, at):
    fill(to, at, "a")
    a = b64(at + "a")
    reply = to.send("kv/txn", {
        "compare": [{"key": a, "target": "CREATE", "create_revision": 0}],
        "success": [{"request_put": {"key": a, "value": b64("wrong")}}],
        "failure": [{"request_range": {"key": a}}, {"request_put": {"key": a, "value": b64("right")}}],
    })
    assert "succeeded" not in reply
    equal(reply["responses"][0]["response_range"]["kvs"][0]["value"], b64("a"))
    equal(to.client.get(at + "a"), [b"right"])
    equal(to.client.get(at + "a", metadata=True)[0][1]["mod_revision"], reply["header"]["revision"])


@case
def a_transaction_sees_what_it_wrote(to, at):
    a = b64(at + "a")
    reply = to.send("kv/txn", {"success": [{"request_put": {"key": a, "value": b64("1")}}, {"request_range": {"key": a}}]})
    (one,) = reply["responses"][1]["response_range"]["kvs"]
    equal((one["value"], one["version"]), (b64("1"), "1"))
    equal((one["create_revision"], one["mod_revision"]), (reply["header"]["revision"],) * 2)


@case
def a_transaction_writes_a_key_once(to, at):
    put = {"request_put": {"key": b64(at + "a"), "value": b64("1")}}
    to.refused("kv/txn", {"success": [put, put]}, 400, 3, "etcdserver: duplicate key given in txn request")
    equal(to.client.get(at + "a"), [])


@case
def a_transaction_has_128_operations(to, at):
    puts = [{"request_put": {"key": b64("%s%d" % (at, number)), "value": b64("1")}} for number in range(129)]
    to.refused("kv/txn", {"success": puts}, 400, 3, "etcdserver: too many operations in txn request")
    equal(len(to.send("kv/txn", {"success": puts[:128]})["responses"]), 128)
    equal(len({one["mod_revision"] for _, one in to.client.get_prefix(at)}), 1)


@case
def a_transaction_of_nothing_holds(to, at):
    equal(to.send("kv/txn", {})["succeeded"], True)


@case
def a_key_is_needed(to, at):
    for operation in ["kv/range", "kv/put", "kv/deleterange"]:
        for message in [{}, {"key": ""}, {"value": "YQ=="}, ""]:
            to.refused(operation, message, 400, 3, "etcdserver: key is not provided")
    for message in [
        {"compare": [{"version": 1}]},
        {"success": [{"request_put": {"value": "YQ=="}}]},
        {"failure": [{"request_range": {}}]},
    ]:
        to.refused("kv/txn", message, 400, 3, "etcdserver: key is not provided")


@case
def what_cant_be_read_is_told(to, at):
    to.refused("kv/range", "xx", 400, 3, "")
    to.refused("kv/range", {"key": "%%%"}, 400, 3, "")
    to.refused("kv/put", {"key": b64(at), "value": "%%%"}, 400, 3, "")
    to.refused("kv/range", {"key": 7}, 400, 3, "")
    to.refused("kv/range", {"key": b64(at), "range_end": "AA==", "limit": "x"}, 400, 3, "")
    to.refused("kv/range", {"key": b64(at), "range_end": "AA==", "sort_target": "SIZE"}, 400, 3, "SIZE")
    to.refused("kv/range", {"key": b64(at), "range_end": "AA==", "sort_order": "down"}, 400, 3, "down")
    to.refused("kv/txn", {"compare": [{"key": b64(at), "target": "SIZE"}]}, 400, 3, "SIZE")
    to.refused("kv/txn", {"compare": 7}, 400, 3, "")
    to.refused("kv/txn", {"success": [{"request_put": {"key": "%%%"}}]}, 400, 3, "")


@case
def members_that_nobody_knows_are_passed_over(to, at):
    fill(to, at, "a")
    equal(to.send("kv/range", {"key": b64(at + "a"), "surprise": 1})["count"], "1")


@case
def bodies_may_say_any_type(to, at):
    for media in ["application/x-www-form-urlencoded", "application/json; charset=utf-8", "text/plain"]:
        answer = to.raw("kv/put", {"key": b64(at + "a"), "value": b64(media)}, **{"Content-Type": media})
        equal((answer.status, answer.media), (200, "application/json"))
        equal(to.client.get(at + "a"), [media.encode()])


@case
def other_paths_and_methods(to, at):
    answer = to.raw("kv/surprise", {})
    equal((answer.status, answer.media, answer.text.strip()), (404, "text/plain", "Not Found"))
    answer = to.http("GET", "/v3/kv/range")
    equal((answer.status, answer.media, answer.text.strip()), (405, "text/plain", "Method Not Allowed"))


@case
def a_lease_that_is_not_there(to, at):
    to.refused("kv/put", {"key": b64(at + "a"), "value": "YQ==", "lease": "99"}, 404, 5, "etcdserver: requested lease not found")
    equal(to.client.get(at + "a"), [])
    to.send("kv/put", {"key": b64(at + "a"), "value": "YQ==", "lease": "0"})


@case
def a_value_beside_ignore_value(to, at):
    message = {"key": b64(at + "a"), "value": "YQ==", "ignore_value": True}
    to.refused("kv/put", message, 400, 3, "etcdserver: value is provided")


@case
def a_value_of_half_a_megabyte(to, at):
    value = bytes(range(256)) * 2048
    to.client.put(at + "big", value)
    equal(to.client.get(at + "big"), [value])


@ours
def there_is_no_history(to, at):
    fill(to, at, "a")
    to.refused("kv/range", {"key": b64(at + "a"), "revision": "1"}, 400, 11, "etcdserver: mvcc: required revision has been compacted")
    raises(exceptions.Etcd3Exception, lambda: to.client.get(at + "a", revision=1), "compacted")


@ours
def leases_and_watches_are_refused(to, at):
    raises(exceptions.Etcd3Exception, lambda: to.client.lease(ttl=5), "leases are not supported")
    for operation in ["lease/grant", "lease/revoke", "lease/keepalive", "lease/timetolive", "lease/leases"]:
        to.refused(operation, {"ID": 1}, 501, 12, "leases are not supported")
    to.refused("watch", {"create_request": {"key": "YQ=="}}, 501, 12, "watches are not supported")
    to.refused("kv/compaction", {"revision": 1}, 501, 12, "compaction is not supported")


@ours
def what_a_range_cant_do(to, at):
    key = b64(at + "a")
    to.refused("kv/put", {"key": key, "ignore_value": True}, 501, 12, "ignore_value is not supported")
    to.refused("kv/deleterange", {"key": key, "range_end": "AA==", "prev_kv": True}, 501, 12, "prev_kv is supported for a single key only")
    to.refused("kv/range", {"key": b64(b"\xff")}, 400, 3, "UTF-8")


@ours
def what_a_transaction_cant_do(to, at):
    key = b64(at + "a")
    for message in [
        {"compare": [{"key": key, "range_end": "AA=="}]},
        {"compare": [{"key": key, "target": "LEASE"}]},
        {"compare": [{"key": key, "target": "VALUE", "result": "GREATER", "value": "YQ=="}]},
        {"success": [{"request_txn": {}}]},
        {"failure": [{"request_range": {"key": key, "range_end": "AA=="}}]},
        {"success": [{"request_delete_range": {"key": key, "prev_kv": True}}]},
        {"success": [{"request_put": {"key": key, "lease": 1}}]},
    ]:
        to.refused("kv/txn", message, 501, 12, "not supported" if "LESS" not in str(message) else "")


@ours
def members_in_camel_case_are_refused(to, at):
    # etcd accepts both spellings. Ignoring one would read or delete too few keys.
    to.refused("kv/deleterange", {"key": b64(at), "rangeEnd": "AA=="}, 400, 3, "underscores")
    to.refused("kv/range", {"key": b64(at), "countOnly": True}, 400, 3, "underscores")
    to.refused("kv/put", {"key": b64(at), "prevKv": True}, 400, 3, "underscores")


main(Setup)
