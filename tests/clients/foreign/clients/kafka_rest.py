"""Produces records as clients of the REST API v2 for Kafka do, with plain HTTP. Reads them with the consumer of Prism's own REST API."""

import base64
import json
import urllib.parse

from cases import Raw, case, equal, main

JSON = "application/vnd.kafka.json.v2+json"
BINARY = "application/vnd.kafka.binary.v2+json"


class Setup:
    def __init__(self, host, port):
        self.raw = Raw(host, port)

    def produce(self, path, body, media=JSON, accept="application/vnd.kafka.v2+json"):
        body = body if isinstance(body, str) else json.dumps(body)
        answer = self.raw("POST", path, body, {"Content-Type": media, "Accept": accept})
        return answer.status, json.loads(answer.body), answer

    def messages(self, topic):
        """Returns keys and values of the topic, in their order."""
        body = json.dumps({"limit": 100})
        answer = self.raw("POST", "/billing/v1/topics/%s/groups/g:receive" % topic, body, {"Content-Type": "application/json"})
        assert answer.status == 200, answer
        return [(message["key"], base64.b64decode(message["payload"])) for message in json.loads(answer.body)["messages"]]


def topic(at):
    return at.replace("/", "")


@case
def records_are_json(to, at):
    records = [{"value": {"total": 12, "name": "\u00fc"}}, {"key": "k", "value": [1, None]}, {"key": None, "value": "text"}]
    status, body, answer = to.produce("/topics/" + topic(at), {"records": records})
    equal((status, answer.media), (200, "application/vnd.kafka.v2+json"))
    equal((body["key_schema_id"], body["value_schema_id"]), (None, None))
    offsets = [offset["offset"] for offset in body["offsets"]]
    equal(offsets, list(range(offsets[0], offsets[0] + 3)))
    equal([(one["partition"], one["error_code"], one["error"]) for one in body["offsets"]], [(0, None, None)] * 3)
    found = [(key, json.loads(value)) for key, value in to.messages(topic(at))]
    equal(found, [("", records[0]["value"]), ('"k"', [1, None]), ("", "text")])


@case
def records_are_base64(to, at):
    values = [bytes(range(256)), b"", b"text"]
    records = [{"key": base64.b64encode(b"k%d" % index).decode(), "value": base64.b64encode(value).decode()} for index, value in enumerate(values)]
    status, body, _ = to.produce("/topics/" + topic(at), {"records": records}, BINARY)
    equal((status, len(body["offsets"])), (200, 3))
    equal(to.messages(topic(at)), [("k0", values[0]), ("k1", values[1]), ("k2", values[2])])


@case
def offsets_continue(to, at):
    first = to.produce("/topics/" + topic(at), {"records": [{"value": 1}]})[1]["offsets"][0]["offset"]
    second = to.produce("/topics/" + topic(at), {"records": [{"value": 2}]})[1]["offsets"][0]["offset"]
    equal(second, first + 1)


@case
def a_value_that_is_null_is_empty(to, at):
    equal(to.produce("/topics/" + topic(at), {"records": [{"key": "gone", "value": None}]})[0], 200)
    equal(to.messages(topic(at)), [('"gone"', b"")])


@case
def every_topic_has_the_partition_0(to, at):
    equal(to.produce("/topics/%s/partitions/0" % topic(at), {"records": [{"value": 1, "partition": 0}]})[0], 200)
    for path, record in [("/topics/%s/partitions/1", {"value": 1}), ("/topics/%s", {"value": 1, "partition": 3})]:
        status, body, _ = to.produce(path % topic(at), {"records": [record]})
        equal((status, body), (404, {"error_code": 40402, "message": "Partition not found."}))
    equal(len(to.messages(topic(at))), 1)


@case
def names_of_schemas_that_are_null_are_accepted(to, at):
    body = {"key_schema_id": None, "value_schema": None, "records": [{"value": 1}]}
    equal(to.produce("/topics/" + topic(at), body)[0], 200)


@case
def invalid_records_are_422(to, at):
    for body, media in [
        ({"records": []}, JSON),
        ({"records": [{"key": "k"}]}, JSON),
        ({}, JSON),
        ("[]", JSON),
        ("", JSON),
        ({"records": [{"value": "not base64!"}]}, BINARY),
        ({"records": [{"value": 1}]}, BINARY),
    ]:
        status, answer, _ = to.produce("/topics/" + topic(at), body, media)
        equal((status, answer["error_code"]), (422, 422))
        assert answer["message"], answer
    equal(to.messages(topic(at)), [])


@case
def other_formats_are_415(to, at):
    for media in ["application/vnd.kafka.avro.v2+json", "text/plain", "application/json"]:
        status, answer, _ = to.produce("/topics/" + topic(at), {"records": [{"value": 1}]}, media)
        equal((status, answer), (415, {"error_code": 415, "message": "HTTP 415 Unsupported Media Type"}))


@case
def consumers_are_not_there(to, at):
    for method, path in [("POST", "/consumers/group"), ("GET", "/brokers")]:
        answer = to.raw(method, path, b"{}" if method == "POST" else None, {"Content-Type": "application/vnd.kafka.v2+json"})
        equal((answer.status, json.loads(answer.body)), (404, {"error_code": 404, "message": "HTTP 404 Not Found"}))
    answer = to.raw("GET", "/topics/" + urllib.parse.quote(topic(at)))
    equal((answer.status, json.loads(answer.body)["error_code"]), (405, 405))


main(Setup)
