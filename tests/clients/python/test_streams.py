"""Streams: interruptions, ends, and streams of requests."""

import asyncio
from datetime import timedelta

from prism_client import Code
from prism_client.consumer import ConsumerClient, ConsumeRequest, Start, SubscribeRequest
from prism_client.keyvalue import KeyValueClient, ScanRequest, StoreRequest, WatchRequest
from prism_client.producer import OutgoingMessage, ProducerClient, PublishRequest, PublishStreamRequest
from prism_client.work_queue import TakeRequest, WorkQueueClient
from support import PATIENT, Case, Gateway, calls_in_flight, eventually


class Interruptions(Case):
    async def test_a_scan_returns_each_key_once_up_to_its_limit(self):
        proxy = await self.proxy()
        client = await self.open(KeyValueClient, "scratch", url=proxy.url, retry=PATIENT)
        # They are too large to wait in the client all at once.
        keys = [f"{self.prefix}{number:03}" for number in range(60)]
        await asyncio.gather(*(client.store(StoreRequest(key=key, value=bytes(128 << 10))) for key in keys))
        found = []
        entries = client.scan(ScanRequest(prefix=self.prefix, limit=50))
        async for entry in entries:
            found.append(entry.key)
            if len(found) in (5, 20):
                proxy.break_connections()
            if len(found) == 35:
                await self.stop_to_wait(entries)
        self.assertEqual(found, keys[:50])

    async def stop_to_wait(self, replies):
        task = asyncio.ensure_future(anext(replies))
        # It waits for a reply now.
        await asyncio.sleep(0)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task

    async def test_a_watch_misses_no_change_when_the_gateway_is_killed(self):
        gateway = await Gateway.start(self)
        client = await self.open(KeyValueClient, "default", url=gateway.url, retry=PATIENT)
        await client.store(StoreRequest(key="k0"))
        changes = client.watch(WatchRequest(prefix="k"))
        keys = []
        for round in range(1, 4):
            # Nothing is read between the change and the restart, so the change reaches the client on one of two connections.
            await client.store(StoreRequest(key=f"k{round}"))
            await gateway.kill()
            await gateway.run()
            await client.store(StoreRequest(key=f"k{round}-later"))
            async for change in changes:
                kind = change.WhichOneof("event")
                self.assertNotEqual(kind, "gap")
                if kind != "caught_up":
                    keys.append(getattr(change, kind).key)
                if keys[-1:] == [f"k{round}-later"]:
                    break
        self.assertEqual(keys, ["k0", "k1", "k1-later", "k2", "k2-later", "k3", "k3-later"])

    async def test_a_subscription_receives_every_message_once(self):
        proxy = await self.proxy()
        connection = self.connect(proxy.url, retry=PATIENT)
        producer = await ProducerClient.open(connection, "orders")
        consumer = await ConsumerClient.open(connection, "billing")
        messages = consumer.subscribe(SubscribeRequest(topic="subscribed", start=Start.START_EARLIEST))
        received = []
        for number in range(4):
            # Of messages with one id, one is kept, so Publish can be repeated.
            await producer.publish(PublishRequest(topic="subscribed", payload=b"%d" % number, id=f"message-{number}"))
            received.append((await anext(messages)).message.payload)
            proxy.break_connections()
            # A call on the broken connection would fail, and Publish is not repeated.
            await KeyValueClient.open(connection, "default")
        self.assertEqual(received, [b"0", b"1", b"2", b"3"])

    async def test_whoever_stops_to_wait_may_wait_again(self):
        client = await self.open(KeyValueClient, "default")
        changes = client.watch(WatchRequest(prefix=self.prefix))
        self.assertEqual((await anext(changes)).WhichOneof("event"), "caught_up")
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(anext(changes), 0.1)
        await client.store(StoreRequest(key=f"{self.prefix}a"))
        change = await anext(changes)
        while change.WhichOneof("event") != "stored":
            change = await anext(changes)
        self.assertEqual(change.stored.key, f"{self.prefix}a")

    async def test_streams_that_can_not_continue_end_with_the_error(self):
        proxy = await self.proxy()
        connection = self.connect(proxy.url, retry=PATIENT)
        consumer = await ConsumerClient.open(connection, "billing")
        producer = await ProducerClient.open(connection, "orders")
        await producer.publish(PublishRequest(topic="grouped", payload=b"1"))

        async def requests():
            yield ConsumeRequest(begin=ConsumeRequest.Begin(topic="grouped", group="g", credits=10))
            # Never, so that the stream does not end by itself.
            await asyncio.Event().wait()

        replies = consumer.consume(requests())
        self.assertEqual((await anext(replies)).message.payload, b"1")
        proxy.break_connections()
        self.assertEqual((await self.fails(anext(replies))).code, Code.UNAVAILABLE)
        self.assertEqual([reply async for reply in replies], [])


class Ends(Case):
    async def test_leaving_the_loop_ends_the_call(self):
        client = await self.open(KeyValueClient, "scratch")
        async for _ in client.watch(WatchRequest(prefix=self.prefix)):
            self.assertEqual(await calls_in_flight("scratch"), 1)
            break
        await self.no_calls()

    async def test_a_block_ends_the_call(self):
        client = await self.open(KeyValueClient, "scratch")
        async with client.watch(WatchRequest(prefix=self.prefix)) as changes:
            await anext(changes)
        await self.no_calls()
        self.assertEqual([change async for change in changes], [])

    async def test_cancelling_ends_the_loop_of_another_task(self):
        client = await self.open(KeyValueClient, "scratch")
        changes = client.watch(WatchRequest(prefix=self.prefix))
        await anext(changes)

        async def read():
            return [change async for change in changes]

        task = asyncio.create_task(read())
        # It waits for the next change now.
        await asyncio.sleep(0)
        changes.cancel()
        self.assertEqual(await task, [])
        await self.no_calls()

    async def test_closing_the_connection_ends_its_calls(self):
        connection = self.connect()
        client = await KeyValueClient.open(connection, "scratch")
        jobs = await WorkQueueClient.open(connection, "jobs")
        changes = client.watch(WatchRequest(prefix=self.prefix))
        await anext(changes)
        calls = [anext(changes), jobs.take(TakeRequest(queue="empty", wait=timedelta(seconds=20)))]
        tasks = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0)
        await connection.close()
        for call in [*tasks, jobs.take(TakeRequest(queue="empty")), anext(client.watch(WatchRequest()))]:
            self.assertEqual((await self.fails(call)).reason, "CONNECTION_CLOSED")

    async def test_cancelling_the_task_cancels_the_task(self):
        client = await self.open(KeyValueClient, "scratch")
        changes = client.watch(WatchRequest(prefix=self.prefix))
        await anext(changes)
        task = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        await self.no_calls()

    async def test_a_slow_reader_gets_everything(self):
        client = await self.open(KeyValueClient, "scratch")
        keys = [f"{self.prefix}{number:03}" for number in range(200)]
        await asyncio.gather(*(client.store(StoreRequest(key=key)) for key in keys))
        found = []
        async for entry in client.scan(ScanRequest(prefix=self.prefix)):
            found.append(entry.key)
            await asyncio.sleep(0.002)
        self.assertEqual(found, keys)

    async def no_calls(self):
        async def holds():
            return await calls_in_flight("scratch") == 0

        await eventually("no call is in flight", holds)


class StreamsOfRequests(Case):
    async def test_an_upload_and_a_stream_in_both_directions(self):
        connection = self.connect()
        producer = await ProducerClient.open(connection, "orders")
        consumer = await ConsumerClient.open(connection, "billing")
        messages = (PublishStreamRequest(topic="both", message=OutgoingMessage(payload=b"%d" % number)) for number in range(5))
        self.assertEqual((await producer.publish_stream(messages)).published, 5)

        requests = asyncio.Queue()

        async def sent():
            while (request := await requests.get()) is not None:
                yield request

        await requests.put(ConsumeRequest(begin=ConsumeRequest.Begin(topic="both", group="g", credits=5)))
        received, settled = [], 0
        async for reply in consumer.consume(sent()):
            if reply.WhichOneof("event") == "message":
                received.append(reply.message.payload)
                await requests.put(ConsumeRequest(ack=ConsumeRequest.Leases(leases=[reply.message.lease])))
            else:
                settled += reply.settled
            if settled == 5:
                await requests.put(None)
        self.assertEqual(received, [b"0", b"1", b"2", b"3", b"4"])

    async def test_an_error_in_the_requests_is_raised(self):
        connection = self.connect()
        producer = await ProducerClient.open(connection, "orders")
        consumer = await ConsumerClient.open(connection, "billing")

        async def broken(first):
            yield first
            raise ValueError("no more paper")

        with self.assertRaisesRegex(ValueError, "no more paper"):
            await producer.publish_stream(broken(PublishStreamRequest(topic="broken", message=OutgoingMessage(payload=b"1"))))
        with self.assertRaisesRegex(ValueError, "no more paper"):
            await anext(consumer.consume(broken(ConsumeRequest(begin=ConsumeRequest.Begin(topic="broken", group="g")))))
