"""The KV API of Consul, used by the client py-consul and by plain HTTP. Runs against Prism and against Consul."""

import base64
import json

import consul
from consul.exceptions import BadRequest

from cases import Raw, case, equal, main, ours, raises


class Setup:
    def __init__(self, host, port):
        self.kv = consul.Consul(host=host, port=port).kv
        self.raw = Raw(host, port)


def entry(setup, key):
    return setup.kv.get(key)[1]


@case
def a_value_comes_back(to, at):
    equal(to.kv.put(at + "a", "one"), True)
    index, found = to.kv.get(at + "a")
    equal(found["Key"], at + "a")
    equal(found["Value"], b"one")
    equal((found["Flags"], found["LockIndex"]), (0, 0))
    assert "Session" not in found
    equal(found["CreateIndex"], found["ModifyIndex"])
    equal(int(index), found["ModifyIndex"])
    equal(sorted(found), ["CreateIndex", "Flags", "Key", "LockIndex", "ModifyIndex", "Value"])


@case
def every_byte_is_kept(to, at):
    value = bytes(range(256)) * 3
    equal(to.kv.put(at + "bytes", value), True)
    equal(entry(to, at + "bytes")["Value"], value)


@case
def an_empty_value_is_null(to, at):
    equal(to.kv.put(at + "folder/", None), True)
    found = entry(to, at + "folder/")
    equal((found["Key"], found["Value"]), (at + "folder/", None))
    equal(to.kv.put(at + "empty", ""), True)
    equal(entry(to, at + "empty")["Value"], None)


@case
def what_is_not_there_is_none_and_has_an_index(to, at):
    index, found = to.kv.get(at + "none")
    equal(found, None)
    assert int(index) >= 1
    answer = to.raw("GET", "/v1/kv/%snone" % at)
    equal((answer.status, answer.body), (404, b""))
    assert int(answer.headers["X-Consul-Index"]) >= 1
    equal((answer.headers["X-Consul-KnownLeader"], answer.headers["X-Consul-LastContact"]), ("true", "0"))


@case
def a_later_write_has_a_greater_index(to, at):
    to.kv.put(at + "a", "1")
    first = entry(to, at + "a")
    to.kv.put(at + "a", "2")
    second = entry(to, at + "a")
    assert second["ModifyIndex"] > first["ModifyIndex"]
    equal(second["CreateIndex"], first["CreateIndex"])


@case
def a_key_that_comes_again_is_a_new_one(to, at):
    to.kv.put(at + "a", "1")
    first = entry(to, at + "a")
    to.kv.delete(at + "a")
    to.kv.put(at + "a", "2")
    assert entry(to, at + "a")["CreateIndex"] > first["ModifyIndex"]


@case
def flags_are_kept_up_to_64_bits(to, at):
    for flags in [0, 1, 42, 2**63, 2**64 - 1]:
        equal(to.kv.put(at + "f", "x", flags=flags), True)
        equal(entry(to, at + "f")["Flags"], flags)
    to.kv.put(at + "f", "x")
    equal(entry(to, at + "f")["Flags"], 0)


@case
def cas_0_creates_only(to, at):
    equal(to.kv.put(at + "a", "one", cas=0), True)
    equal(to.kv.put(at + "a", "two", cas=0), False)
    equal(entry(to, at + "a")["Value"], b"one")


@case
def cas_writes_only_what_has_not_changed(to, at):
    to.kv.put(at + "a", "one")
    index = entry(to, at + "a")["ModifyIndex"]
    equal(to.kv.put(at + "a", "two", cas=index, flags=7), True)
    equal(to.kv.put(at + "a", "three", cas=index), False)
    found = entry(to, at + "a")
    equal((found["Value"], found["Flags"]), (b"two", 7))
    equal(to.kv.put(at + "none", "x", cas=index), False)
    equal(entry(to, at + "none"), None)


@case
def one_of_many_that_want_to_create_does(to, at):
    from concurrent.futures import ThreadPoolExecutor

    def create(number):
        return Setup(to.raw.host, to.raw.port).kv.put(at + "lock", str(number), cas=0)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(create, range(16)))
    equal(results.count(True), 1)
    equal(entry(to, at + "lock")["Value"], str(results.index(True)).encode())


@case
def delete_is_true_also_for_nothing(to, at):
    to.kv.put(at + "a", "one")
    equal(to.kv.delete(at + "a"), True)
    equal(entry(to, at + "a"), None)
    equal(to.kv.delete(at + "a"), True)


@case
def delete_with_cas(to, at):
    to.kv.put(at + "a", "one")
    index = entry(to, at + "a")["ModifyIndex"]
    equal(to.kv.delete(at + "a", cas=0), False)
    equal(to.kv.delete(at + "a", cas=index + 1000), False)
    equal(entry(to, at + "a")["Value"], b"one")
    equal(to.kv.delete(at + "a", cas=index), True)
    equal(entry(to, at + "a"), None)
    # Deleting an absent key succeeds.
    equal(to.kv.delete(at + "a", cas=index), True)
    equal(to.kv.delete(at + "a", cas=0), True)


@case
def recurse_reads_all_with_the_prefix(to, at):
    for name in ["b", "a/x", "a/y/z", "a", "ab"]:
        to.kv.put(at + name, name)
    index, found = to.kv.get(at + "a", recurse=True)
    equal([(one["Key"], one["Value"]) for one in found], [(at + name, name.encode()) for name in ["a", "a/x", "a/y/z", "ab"]])
    equal(int(index), max(one["ModifyIndex"] for one in found))
    index, found = to.kv.get(at + "zz", recurse=True)
    equal(found, None)
    assert int(index) >= 1


@case
def delete_with_recurse(to, at):
    for name in ["a", "a/x", "a/y/z", "b"]:
        to.kv.put(at + name, name)
    equal(to.kv.delete(at + "a", recurse=True), True)
    equal([one["Key"] for one in to.kv.get(at, recurse=True)[1]], [at + "b"])
    equal(to.kv.delete(at + "zz", recurse=True), True)


@case
def delete_of_everything(to, at):
    to.kv.put(at + "a", "x")
    answer = to.raw("DELETE", "/v1/kv/?recurse")
    equal((answer.status, json.loads(answer.body)), (200, True))
    equal(json.loads(to.raw("GET", "/v1/kv/?keys").body), [])
    equal(json.loads(to.raw("GET", "/v1/kv/?keys&separator=/").body), [])
    equal(to.raw("GET", "/v1/kv/?recurse").status, 404)


@case
def keys_are_names_alone(to, at):
    for name in ["web/a", "web/sub/one", "web/sub/two", "web/z", "other"]:
        to.kv.put(at + name, "x")
    _, found = to.kv.get(at + "web/", keys=True)
    equal(found, [at + name for name in ["web/a", "web/sub/one", "web/sub/two", "web/z"]])
    equal(to.kv.get(at + "none", keys=True)[1], None)


@case
def keys_up_to_a_separator(to, at):
    for name in ["web/", "web/a", "web/sub/one", "web/sub/two", "web/z", "webb", "x-y-z"]:
        to.kv.put(at + name, "x")
    list_ = lambda prefix, separator: to.kv.get(at + prefix, keys=True, separator=separator)[1]
    equal(list_("web/", "/"), [at + name for name in ["web/", "web/a", "web/sub/", "web/z"]])
    equal(list_("web", "/"), [at + "web/", at + "webb"])
    equal(list_("", "/"), [at + name for name in ["web/", "webb", "x-y-z"]])
    equal(list_("web/sub", "/"), [at + "web/sub/"])
    equal(list_("x", "-"), [at + "x-"])
    equal(list_("web/", "sub/"), [at + name for name in ["web/", "web/a", "web/sub/", "web/z"]])
    equal(list_("none", "/"), None)


@case
def names_beyond_ascii(to, at):
    to.kv.put(at + "größe/日本", "ü")
    to.kv.put(at + "größe/日本/語", "x")
    equal(entry(to, at + "größe/日本")["Value"], "ü".encode())
    equal(to.kv.get(at + "größe/", keys=True, separator="本")[1], [at + "größe/日本"])
    equal(to.kv.get(at + "größe/", keys=True, separator="/")[1], [at + "größe/日本", at + "größe/日本/"])


@case
def characters_that_a_path_has_to_escape(to, at):
    for name in ["a b", "a+b", "50%", "q?x=1", "a#b", "a&b=c", "[x]", "{y}", "a:b", "a;b", "'\"<>"]:
        equal(to.kv.put(at + name, name), True)
        found = entry(to, at + name)
        equal((found["Key"], found["Value"]), (at + name, name.encode()))


@case
def a_slash_at_the_end_is_part_of_the_key(to, at):
    to.kv.put(at + "a", "file")
    to.kv.put(at + "a/", "folder")
    equal((entry(to, at + "a")["Value"], entry(to, at + "a/")["Value"]), (b"file", b"folder"))
    to.kv.delete(at + "a/")
    equal((entry(to, at + "a")["Value"], entry(to, at + "a/")), (b"file", None))


@case
def an_escaped_slash_is_a_slash(to, at):
    to.kv.put(at + "a/b", "x")
    answer = to.raw("GET", "/v1/kv/%sa%%2Fb?raw" % at)
    equal((answer.status, answer.body), (200, b"x"))


@case
def the_root_lists_keys_also_if_there_are_none_in_sight(to, at):
    to.kv.put(at + "a", "x")
    answer = to.raw("GET", "/v1/kv/?keys")
    equal(answer.status, 200)
    assert at + "a" in json.loads(answer.body)
    answer = to.raw("GET", "/v1/kv/?keys&separator=/")
    assert at in json.loads(answer.body)
    answer = to.raw("GET", "/v1/kv/?recurse")
    assert at + "a" in [one["Key"] for one in json.loads(answer.body)]


@case
def raw_is_the_value_itself(to, at):
    value = b"<script>\x00\xff</script>"
    to.kv.put(at + "page", value)
    answer = to.raw("GET", "/v1/kv/%spage?raw" % at)
    equal((answer.status, answer.body, answer.media), (200, value, "text/plain"))
    equal((answer.headers["X-Content-Type-Options"], answer.headers["Content-Security-Policy"]), ("nosniff", "sandbox"))
    assert int(answer.headers["X-Consul-Index"]) > 1
    equal(to.raw("GET", "/v1/kv/%snone?raw" % at).status, 404)


@case
def parameters_without_a_value_count(to, at):
    to.kv.put(at + "a/b", "x")
    for query in ["recurse", "recurse=", "recurse=1", "recurse=true", "recurse=false"]:
        answer = to.raw("GET", "/v1/kv/%sa?%s" % (at, query))
        equal([one["Key"] for one in json.loads(answer.body)], [at + "a/b"])
    equal(json.loads(to.raw("GET", "/v1/kv/%sa?keys&raw&recurse" % at).body), [at + "a/b"])
    equal(to.raw("GET", "/v1/kv/%sa/b?raw&recurse" % at).media, "application/json")


@case
def an_entry_is_a_list_of_one_in_json(to, at):
    to.kv.put(at + "a", "hi", flags=2**64 - 1)
    answer = to.raw("GET", "/v1/kv/%sa" % at)
    equal((answer.status, answer.media), (200, "application/json"))
    (one,) = json.loads(answer.body)
    equal((one["Value"], one["Flags"]), (base64.b64encode(b"hi").decode(), 2**64 - 1))
    equal((answer.headers["X-Consul-KnownLeader"], answer.headers["X-Consul-LastContact"]), ("true", "0"))


@case
def bodies_may_say_any_type(to, at):
    for media in ["application/x-www-form-urlencoded", "application/json", "text/plain; charset=latin-1", "nonsense"]:
        answer = to.raw("PUT", "/v1/kv/%sa" % at, b"a=1&b=%2", {"Content-Type": media})
        equal((answer.status, answer.media, json.loads(answer.body)), (200, "application/json", True))
        equal(entry(to, at + "a")["Value"], b"a=1&b=%2")
    equal(json.loads(to.raw("PUT", "/v1/kv/%sa?cas=1" % at, b"x").body), False)


@case
def what_is_unknown_is_passed_over(to, at):
    answer = to.raw("PUT", "/v1/kv/%sa?surprise=1" % at, b"x", {"Accept": "image/png", "X-Consul-Token": "anything"})
    equal((answer.status, json.loads(answer.body)), (200, True))
    for mode in ["consistent", "stale"]:
        equal(to.raw("GET", "/v1/kv/%sa?%s&surprise" % (at, mode)).status, 200)


@case
def a_key_is_needed(to, at):
    for method, target in [("GET", "/v1/kv/"), ("GET", "/v1/kv/?raw"), ("PUT", "/v1/kv/"), ("DELETE", "/v1/kv/")]:
        answer = to.raw(method, target)
        equal((answer.status, answer.media, answer.text.strip()), (400, "text/plain", "Missing key name"))


@case
def flags_that_exclude_each_other(to, at):
    for method, query in [("PUT", "cas=1&acquire=x"), ("PUT", "acquire=x&release=x"), ("PUT", "cas=0&release=x"), ("DELETE", "recurse&cas=1")]:
        answer = to.raw(method, "/v1/kv/%sa?%s" % (at, query))
        equal((answer.status, answer.media), (400, "text/plain"))
        assert answer.text.startswith("Conflicting flags: "), answer
    equal(entry(to, at + "a"), None)


@case
def other_methods(to, at):
    answer = to.raw("POST", "/v1/kv/%sa" % at, b"x")
    equal((answer.status, answer.text.strip()), (405, "method POST not allowed"))
    allowed = {method.strip() for method in answer.headers["Allow"].split(",")}
    assert {"GET", "PUT", "DELETE"} <= allowed, allowed


@case
def an_index_that_is_no_number(to, at):
    equal(to.raw("GET", "/v1/kv/%sa?index=x" % at).status, 400)
    to.kv.put(at + "a", "x")
    equal(to.raw("GET", "/v1/kv/%sa?index=0&raw" % at).body, b"x")


@case
def a_value_of_half_a_megabyte(to, at):
    value = bytes(range(256)) * 2048
    equal(to.kv.put(at + "big", value), True)
    equal(entry(to, at + "big")["Value"], value)
    equal(to.raw("GET", "/v1/kv/%sbig?raw" % at).body, value)


@case
def many_keys(to, at):
    for number in range(300):
        equal(to.raw("PUT", "/v1/kv/%s%04d/x" % (at, number), b"v").status, 200)
    equal(to.kv.get(at, keys=True)[1], ["%s%04d/x" % (at, number) for number in range(300)])
    equal(to.kv.get(at, keys=True, separator="/")[1], ["%s%04d/" % (at, number) for number in range(300)])
    equal(len(to.kv.get(at, recurse=True)[1]), 300)
    equal(to.kv.delete(at, recurse=True), True)
    equal(to.kv.get(at, keys=True)[1], None)


@ours
def sessions_are_refused(to, at):
    session = "adf4238a-882b-9ddc-4a9d-5b6758e4159e"
    raises(BadRequest, lambda: to.kv.put(at + "a", "x", acquire=session), "Sessions and locks are not supported")
    raises(BadRequest, lambda: to.kv.put(at + "a", "x", release=session), "Sessions and locks are not supported")
    equal(entry(to, at + "a"), None)


@ours
def blocking_queries_are_refused(to, at):
    to.kv.put(at + "a", "x")
    index, _ = to.kv.get(at + "a")
    raises(BadRequest, lambda: to.kv.get(at + "a", index=index, wait="1s"), "Blocking queries are not supported")


@ours
def numbers_that_are_none_are_told(to, at):
    # Consul returns 500.
    for query in ["cas=x", "cas=-1", "flags=", "flags=18446744073709551616"]:
        answer = to.raw("PUT", "/v1/kv/%sa?%s" % (at, query), b"x")
        equal((answer.status, answer.media), (400, "text/plain"))
        assert query.split("=")[0] in answer.text, answer
    equal(entry(to, at + "a"), None)


@ours
def a_key_that_is_too_long_is_told(to, at):
    raises(BadRequest, lambda: to.kv.put(at + "x" * 2000, "x"), "key")


@ours
def the_same_value_again_is_a_write(to, at):
    # Consul keeps the index if nothing changes.
    to.kv.put(at + "a", "x")
    first = entry(to, at + "a")
    to.kv.put(at + "a", "x")
    assert entry(to, at + "a")["ModifyIndex"] > first["ModifyIndex"]


@ours
def other_parts_of_the_api_are_not_there(to, at):
    answer = to.raw("PUT", "/v1/session/create", b"{}")
    equal((answer.status, answer.media), (404, "text/plain"))


main(Setup)
