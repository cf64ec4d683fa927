"""Runs the cases of a suite against a schema registry: `suite.py URL`. Each case gets the URL and a new name."""

import sys
import traceback
import uuid

CASES = []


def case(function):
    """Declares a case."""
    CASES.append(function)
    return function


def main():
    """Runs all cases, prints how many passed, and exits with 1 if one failed."""
    url = sys.argv[-1]
    passed = failed = 0
    for function in CASES:
        try:
            function(url, "t-%s" % uuid.uuid4().hex[:12])
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


def raises(kind, call, **members):
    """Checks that the call raises an exception of this kind with these members. Returns the exception."""
    try:
        result = call()
    except kind as error:
        found = {name: getattr(error, name) for name in members}
        assert found == members, "expected %r\n     but got %r: %s" % (members, found, error)
        return error
    raise AssertionError("no %s, but %r" % (kind.__name__, result))
