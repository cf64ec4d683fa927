"""Runs the cases of a suite against a server. Each case gets a new prefix for its keys."""

import http.client
import sys
import traceback
import urllib.parse
import uuid

CASES = []


def case(function):
    """Declares a case that must pass against Prism and against the original system."""
    CASES.append((function, False))
    return function


def ours(function):
    """Declares a case about a difference from the original system; docs/frontends-foreign.md lists the differences."""
    CASES.append((function, True))
    return function


def main(setup):
    """Runs `suite.py URL`, or `suite.py --original URL` against the original system, to check that the cases are right."""
    original = "--original" in sys.argv
    url = urllib.parse.urlsplit(sys.argv[-1])
    passed = failed = 0
    for function, only_ours in CASES:
        if only_ours and original:
            continue
        try:
            function(setup(url.hostname, url.port), "t-%s/" % uuid.uuid4().hex[:12])
            passed += 1
            print("ok", function.__name__)
        except Exception:
            failed += 1
            print("FAILED", function.__name__)
            traceback.print_exc(file=sys.stdout)
    print("passed %d" % passed)
    print("failed %d" % failed)
    sys.exit(1 if failed else 0)


def equal(found, wanted):
    assert found == wanted, "expected %r\n     but got %r" % (wanted, found)


def raises(kind, call, *words):
    """Checks that the call raises an exception of this kind that contains these words. Returns the exception."""
    try:
        result = call()
    except kind as error:
        for word in words:
            assert word in "%s %s" % (error, error.__dict__), "%r is not in %r %r" % (word, error, error.__dict__)
        return error
    raise AssertionError("no %s, but %r" % (kind.__name__, result))


class Raw:
    """Plain HTTP, for requests that the client library does not send."""

    def __init__(self, host, port):
        self.host, self.port = host, port

    def __call__(self, method, target, body=None, headers=()):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request(method, target, body=body, headers=dict(headers))
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode()

    @property
    def media(self):
        return self.headers.get("content-type", "").split(";")[0]

    def __repr__(self):
        return "%d %s %r" % (self.status, dict(self.headers), self.body)
