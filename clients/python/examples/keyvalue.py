"""Stores values, reads them, and follows their changes: `python examples/keyvalue.py http://127.0.0.1:8980 default`."""

import asyncio
import sys

from prism_client import Connection, Support
from prism_client.keyvalue import CompareAndStoreRequest, KeyValueClient, RetrieveRequest, ScanRequest, StoreRequest, WatchRequest


async def main(url: str = "http://127.0.0.1:8980", namespace: str = "default") -> None:
    async with Connection(url) as connection:
        client = await KeyValueClient.open(connection, namespace)
        print("watches:", client.support("Watch") is Support.NATIVE)

        stored = await client.store(StoreRequest(key="fruit/apple", value=b"red"))
        # With a key, the call is executed once, however often it is sent.
        once = client.with_options(idempotency_key="paint-the-apple")
        await once.compare_and_store(CompareAndStoreRequest(key="fruit/apple", expected_revision=stored.revision, value=b"green"))
        apple = await client.retrieve(RetrieveRequest(key="fruit/apple"))
        print("apple:", apple.value.decode())

        await client.store(StoreRequest(key="fruit/pear", value=b"yellow"))
        async for found in client.scan(ScanRequest(prefix="fruit/")):
            print(f"{found.key}: {found.value.decode()}")

        # The stream continues by itself if the gateway is restarted. Leaving the loop ends it.
        async for change in client.watch(WatchRequest(prefix="fruit/")):
            match change.WhichOneof("event"):
                case "entry":
                    print("there is", change.entry.key)
                case "caught_up":
                    await client.store(StoreRequest(key="fruit/plum", value=b"blue"))
                case "stored":
                    print("stored", change.stored.key)
                    break


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
