"""Calls: messages, capabilities, errors, deadlines and metadata."""

from datetime import timedelta
from pathlib import Path

from prism_client import Code, Connection, PrismError, RetryPolicy, Support
from prism_client.event_sourcing import AppendRequest, EventSourcingClient, LoadRequest, NewEvent
from prism_client.keyvalue import CompareAndStoreRequest, GetExpirationRequest, KeyValueClient, RetrieveRequest, StoreRequest, WatchRequest
from prism_client.multicast_registry import EnumerateRequest, MulticastRegistryClient, MulticastRequest, ReceiveRequest, RegisterRequest
from prism_client.object_store import GetObjectRequest, ObjectStoreClient, PutObjectRequest
from prism_client.producer import ProducerClient, PublishPayloadRequest
from prism_client.session_store import CreateSessionRequest, GetSessionRequest, SessionStoreClient
from prism_client.work_queue import CompleteRequest, SubmitRequest, TakeRequest, WorkQueueClient
from support import Case, environment


class Patterns(Case):
    async def test_keyvalue(self):
        client = await self.open(KeyValueClient, "default")
        await client.store(StoreRequest(key=self.prefix, value=b"hello", ttl=timedelta(hours=1)))
        self.assertEqual((await client.retrieve(RetrieveRequest(key=self.prefix))).value, b"hello")
        expiration = await client.get_expiration(GetExpirationRequest(key=self.prefix))
        self.assertLessEqual(expiration.ttl.ToTimedelta(), timedelta(hours=1))

    async def test_event_sourcing(self):
        client = await self.open(EventSourcingClient, "events")
        await client.append(AppendRequest(aggregate="order-1", events=[NewEvent(type="placed", payload=b"1"), NewEvent(type="paid", payload=b"2")]))
        self.assertEqual([reply.event.type async for reply in client.load(LoadRequest(aggregate="order-1"))], ["placed", "paid"])

    async def test_multicast_registry(self):
        client = await self.open(MulticastRegistryClient, "devices")
        await client.register(RegisterRequest(identity="lamp", tags=["kitchen"], metadata={"watts": 40}))
        found = [reply.identity async for reply in client.enumerate(EnumerateRequest(filter="'kitchen' in tags"))]
        self.assertEqual([(identity.identity, identity.metadata["watts"]) for identity in found], [("lamp", 40)])
        received = client.receive(ReceiveRequest(identity="lamp"))
        self.assertEqual((await anext(received)).connected.identity, "lamp")
        results = [reply async for reply in client.multicast(MulticastRequest(payload=b"on"))]
        self.assertEqual((results[0].result.identity, results[-1].summary.matched), ("lamp", 1))
        self.assertEqual((await anext(received)).message.payload, b"on")

    async def test_object_store(self):
        client = await self.open(ObjectStoreClient, "objects")
        chunks = [PutObjectRequest(key="photos/cat.jpg"), PutObjectRequest(chunk=b"first, "), PutObjectRequest(chunk=b"second")]
        await client.put_object(chunks)
        stored = [reply.chunk async for reply in client.get_object(GetObjectRequest(key="photos/cat.jpg"))]
        self.assertEqual(b"".join(stored), b"first, second")

    async def test_session_store(self):
        client = await self.open(SessionStoreClient, "sessions")
        created = await client.create_session(CreateSessionRequest(user="ada"))
        found = await client.get_session(GetSessionRequest(token=created.token))
        self.assertEqual(found.session.user, "ada")

    async def test_work_queue(self):
        client = await self.open(WorkQueueClient, "jobs")
        submitted = await client.submit(SubmitRequest(queue="mail", payload=b"to ada"))
        taken = await client.take(TakeRequest(queue="mail"))
        self.assertEqual([(job.id, job.payload) for job in taken.jobs], [(submitted.id, b"to ada")])
        await client.complete(CompleteRequest(queue="mail", lease=taken.jobs[0].lease))


class Capabilities(Case):
    async def test_are_read_when_a_client_is_opened(self):
        client = await self.open(KeyValueClient, "default")
        self.assertEqual(client.capabilities.namespace, "default")
        self.assertIs(client.support("Watch"), Support.NATIVE)
        self.assertIs(client.support("Sing"), Support.UNKNOWN)

    async def test_another_pattern_is_refused(self):
        error = await self.fails(self.open(KeyValueClient, "jobs"))
        self.assertEqual((error.code, error.reason), (Code.UNIMPLEMENTED, "SERVICE_NOT_SERVED"))
        self.assertIn("the namespace jobs has the pattern work-queue", error.message)

    async def test_unavailable_operations_fail_without_a_request(self):
        proxy = await self.proxy()
        client = await self.open(ProducerClient, "live", url=proxy.url)
        self.assertIs(client.support("PublishPayload"), Support.UNAVAILABLE)
        proxy.cut()
        error = await self.fails(client.publish_payload([PublishPayloadRequest(topic="t")]))
        self.assertEqual((error.code, error.reason), (Code.UNIMPLEMENTED, "CAPABILITY_UNAVAILABLE"))
        self.assertIn("does not support PublishPayload", error.message)


class Errors(Case):
    async def test_have_the_reason_of_the_gateway(self):
        client = await self.open(KeyValueClient, "default")
        error = await self.fails(client.retrieve(RetrieveRequest(key=self.prefix)))
        self.assertEqual((error.code, error.reason), (Code.NOT_FOUND, "KEY_NOT_FOUND"))
        self.assertTrue(str(error).startswith("NOT_FOUND KEY_NOT_FOUND: the key is not there"), error)

    async def test_have_metadata(self):
        client = await self.open(KeyValueClient, "default")
        error = await self.fails(client.store(StoreRequest(key="k" * 100_000)))
        self.assertEqual(error.code, Code.INVALID_ARGUMENT)
        self.assertEqual(error.metadata["limit"], str(client.capabilities.limits.max_key_bytes))

    async def test_wrong_settings_are_explained(self):
        for url in ["127.0.0.1:8980", "ftp://127.0.0.1", "http://127.0.0.1:port", "http://", "http://127.0.0.1/default"]:
            with self.subTest(url), self.assertRaisesRegex(PrismError, "INVALID_URL: .* write http://HOST:PORT"):
                Connection(url)
        client = await self.open(KeyValueClient, "default")
        for metadata in [{"a b": "c"}, {"a": "line\nline"}, {"a": "é"}, {"a-bin": "x"}, {"grpc-timeout": "1S"}, {"": "x"}]:
            with self.subTest(metadata), self.assertRaisesRegex(PrismError, "INVALID_METADATA"):
                client.with_options(metadata=metadata)
        with self.assertRaisesRegex(PrismError, "INVALID_METADATA: the value of idempotency-key"):
            client.with_options(idempotency_key="a\n")


class Options(Case):
    async def test_a_stream_ends_at_its_deadline(self):
        client = await self.open(KeyValueClient, "default")
        changes = client.with_options(timeout=0.3).watch(WatchRequest(prefix=self.prefix))

        async def read():
            async for _ in changes:
                pass

        error = await self.fails(read())
        # It is the client's or the gateway's: both know the deadline.
        self.assertEqual((error.code, error.reason), (Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"))

    async def test_metadata_of_the_connection_and_of_a_call(self):
        request = CompareAndStoreRequest(key=self.prefix, value=b"1")
        # A key that was used before returns the first reply, so the gateway has received the metadata.
        shared = await self.open(KeyValueClient, "default", metadata={"Idempotency-Key": "shared"})
        first = await shared.compare_and_store(request)
        self.assertEqual((await shared.compare_and_store(request)).revision, first.revision)
        error = await self.fails(shared.with_options(metadata={"idempotency-key": "another"}).compare_and_store(request))
        self.assertEqual(error.reason, "REVISION_MISMATCH")

    async def test_token_over_tls(self):
        url, certificate = environment("PRISM_SECURE_URL"), Path(environment("PRISM_CERTIFICATE")).read_bytes()
        client = await self.open(KeyValueClient, "default", url=url, ca_certificate=certificate, token=environment("PRISM_TOKEN"))
        await client.store(StoreRequest(key=self.prefix, value=b"1"))
        error = await self.fails(self.open(KeyValueClient, "default", url=url, ca_certificate=certificate, token="wrong"))
        self.assertEqual(error.code, Code.UNAUTHENTICATED)
        error = await self.fails(self.open(KeyValueClient, "default", url=url, retry=RetryPolicy(attempts=1)))
        self.assertEqual((error.code, error.reason), (Code.UNAVAILABLE, "CONNECTION_LOST"))
