"""Runs the cases of Autobahn's test suite against a server that echoes, except for those of compression.

Prints a line for each case: its number, how it behaved, how it ended the connection, and why, with tabs in between.
"""

import asyncio
import sys

from kosoku import FailureError, run_fuzzingclient

# permessage-deflate, which Prism does not have.
COMPRESSION = ["12.*", "13.*"]


async def main(url: str) -> None:
    try:
        results = await run_fuzzingclient(url, exclude_cases=COMPRESSION, concurrency=4)
    except FailureError as failure:
        results = failure.results
    for case in results:
        print(case.case_id, case.behavior.value, case.behavior_close.value, case.result, case.result_close, sep="\t")


asyncio.run(main(sys.argv[1]))
