"""Publishes messages and consumes them as a group: `python examples/messages.py http://127.0.0.1:8980 orders billing`."""

import asyncio
import sys

from prism_client import Connection
from prism_client.consumer import AckRequest, ConsumerClient, ReceiveRequest
from prism_client.producer import ProducerClient, PublishRequest


async def main(url: str = "http://127.0.0.1:8980", orders: str = "orders", billing: str = "billing") -> None:
    # Publish is executed once for each key, so it can be repeated.
    async with Connection(url, idempotency_keys=True) as connection:
        producer = await ProducerClient.open(connection, orders)
        consumer = await ConsumerClient.open(connection, billing)
        for number in range(1, 4):
            await producer.publish(PublishRequest(topic="orders.eu", payload=f"order {number}".encode()))
        received = 0
        while received < 3:
            reply = await consumer.receive(ReceiveRequest(topic="orders.eu", group="billing", limit=2))
            for message in reply.messages:
                print("received", message.payload.decode())
            if reply.messages:
                leases = [message.lease for message in reply.messages]
                await consumer.ack(AckRequest(topic="orders.eu", group="billing", leases=leases))
            received += len(reply.messages)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
