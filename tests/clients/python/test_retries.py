"""Calls that are repeated."""

import asyncio
import collections
import time
import unittest

import grpc
from prism_client import Capabilities, Code, PrismError, RetryPolicy
from prism_client.keyvalue import (
    CompareAndStoreRequest,
    GetCapabilitiesResponse,
    KeyValueClient,
    RetrieveRequest,
    ScanRequest,
    StoreRequest,
)
from prism_client.producer import ProducerClient
from support import PATIENT, Case


class Retries(Case):
    async def test_reads_and_idempotent_writes_survive_a_lost_connection(self):
        proxy = await self.proxy()
        client = await self.open(KeyValueClient, "default", url=proxy.url, retry=PATIENT)
        await client.store(StoreRequest(key=self.prefix, value=b"1"))
        proxy.cut()
        read = asyncio.create_task(client.retrieve(RetrieveRequest(key=self.prefix)))
        write = asyncio.create_task(client.store(StoreRequest(key=f"{self.prefix}b", value=b"2")))
        await asyncio.sleep(0)
        await proxy.restore()
        self.assertEqual((await read).value, b"1")
        await write
        for call in [
            lambda: client.retrieve(RetrieveRequest(key=self.prefix)),
            lambda: client.store(StoreRequest(key=self.prefix, value=b"1")),
        ]:
            proxy.lose_next_reply()
            await call()
            self.assertFalse(proxy.loses_reply)

    async def test_other_writes_are_not_repeated(self):
        proxy = await self.proxy()
        client = await self.open(KeyValueClient, "default", url=proxy.url, retry=PATIENT)
        proxy.lose_next_reply()
        error = await self.fails(client.compare_and_store(CompareAndStoreRequest(key=self.prefix, value=b"1")))
        self.assertEqual((error.code, error.reason), (Code.UNAVAILABLE, "CONNECTION_LOST"))
        # The gateway has executed it: the reply was lost.
        self.assertEqual((await client.retrieve(RetrieveRequest(key=self.prefix))).version, 1)

    async def test_with_a_key_they_are_repeated_and_executed_once(self):
        proxy = await self.proxy()
        client = await self.open(KeyValueClient, "default", url=proxy.url, retry=PATIENT, idempotency_keys=True)
        proxy.lose_next_reply()
        reply = await client.compare_and_store(CompareAndStoreRequest(key=self.prefix, value=b"1"))
        self.assertFalse(proxy.loses_reply)
        stored = await client.retrieve(RetrieveRequest(key=self.prefix))
        self.assertEqual((stored.revision, stored.version), (reply.revision, 1))
        # Another call has another key.
        error = await self.fails(client.compare_and_store(CompareAndStoreRequest(key=self.prefix, value=b"1")))
        self.assertEqual(error.reason, "REVISION_MISMATCH")

    async def test_a_key_of_the_caller(self):
        client = await self.open(KeyValueClient, "default")
        request = CompareAndStoreRequest(key=self.prefix, value=b"1")
        once = client.with_options(idempotency_key=f"once-{self.prefix}")
        self.assertEqual((await once.compare_and_store(request)).revision, (await once.compare_and_store(request)).revision)
        self.assertEqual((await self.fails(client.compare_and_store(request))).reason, "REVISION_MISMATCH")

    async def test_the_deadline_ends_the_attempts(self):
        proxy = await self.proxy()
        client = await self.open(KeyValueClient, "default", url=proxy.url, retry=PATIENT, timeout=1)
        proxy.cut()
        began = time.monotonic()
        error = await self.fails(client.retrieve(RetrieveRequest(key=self.prefix)))
        self.assertIn(error.code, (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED))
        # All attempts would take half a minute.
        self.assertLess(time.monotonic() - began, 10)


class Attempts(Case, grpc.GenericRpcHandler):
    """Against a server that counts calls, and refuses all but those of GetCapabilities."""

    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.calls = collections.Counter()
        server = grpc.aio.server()
        server.add_generic_rpc_handlers([self])
        self.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        self.addAsyncCleanup(server.stop, None)

    def service(self, call):
        name = call.method.rsplit("/", 1)[-1]

        async def answer(request, context):
            if name == "GetCapabilities":
                return GetCapabilitiesResponse(capabilities=Capabilities(pattern="keyvalue")).SerializeToString()
            self.calls[name] += 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not today")

        return grpc.unary_unary_rpc_method_handler(answer)

    async def test_are_bounded(self):
        client = await self.open(KeyValueClient, "default", retry=RetryPolicy(attempts=4, min_pause=0.01, max_pause=0.02))
        await self.fails(client.retrieve(RetrieveRequest(key="a")))
        await self.fails(client.store(StoreRequest(key="a")))
        await self.fails(anext(client.scan(ScanRequest())))
        self.assertEqual(self.calls, {"Retrieve": 4, "Store": 4, "Scan": 4})

    async def test_are_one_for_a_write_without_a_key(self):
        client = await self.open(KeyValueClient, "default", retry=RetryPolicy(attempts=4, min_pause=0.01, max_pause=0.02))
        await self.fails(client.compare_and_store(CompareAndStoreRequest(key="a")))
        self.assertEqual(self.calls, {"CompareAndStore": 1})
        await self.fails(client.with_options(idempotency_key="a").compare_and_store(CompareAndStoreRequest(key="a")))
        self.assertEqual(self.calls, {"CompareAndStore": 1 + 4})

    async def test_another_pattern_is_refused(self):
        error = await self.fails(self.open(ProducerClient, "default"))
        self.assertEqual(str(error), "FAILED_PRECONDITION OTHER_PATTERN: the namespace default has the pattern keyvalue, not producer")


class Pauses(unittest.TestCase):
    def test_grow_up_to_the_maximum(self):
        policy = RetryPolicy(attempts=2000, min_pause=0.1, max_pause=1.0)
        error = PrismError(Code.UNAVAILABLE, "", "")
        for attempt, most in [(1, 0.1), (2, 0.2), (4, 0.8), (5, 1.0), (1999, 1.0)]:
            pauses = {policy.pause(attempt, error) for _ in range(50)}
            self.assertGreater(len(pauses), 1)
            self.assertTrue(all(most / 2 <= pause <= most for pause in pauses), pauses)
        self.assertIsNone(policy.pause(2000, error))

    def test_are_as_long_as_the_server_asks_but_not_above_the_maximum(self):
        policy = RetryPolicy(min_pause=0.1, max_pause=1.0)
        self.assertEqual(policy.pause(1, PrismError(Code.UNAVAILABLE, "", "", retry_after=0.7)), 0.7)
        self.assertEqual(policy.pause(1, PrismError(Code.UNAVAILABLE, "", "", retry_after=60)), 1.0)
