"""The gateway under test, gateways that are killed, and connections that break."""

import asyncio
import os
import signal
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

from prism_client import Connection, PrismError, RetryPolicy

# For calls that outlive a gateway: they are repeated until it is there again.
PATIENT = RetryPolicy(attempts=200, min_pause=0.05, max_pause=0.2)

# Waiting ends after this many seconds. Much more than a busy machine needs.
LIMIT = 60


def environment(name):
    value = os.environ.get(name)
    assert value, f"Set {name}; `cargo test --test clients python::` starts a gateway and does so."
    return value


class Case(unittest.IsolatedAsyncioTestCase):
    """A case against the gateway, with names of its own for its data."""

    async def asyncSetUp(self):
        self.url = environment("PRISM_URL")
        self.prefix = f"{self.id()}/"

    def connect(self, url=None, **settings):
        connection = Connection(url or self.url, **settings)
        self.addAsyncCleanup(connection.close)
        return connection

    async def open(self, client, namespace, **settings):
        return await client.open(self.connect(**settings), namespace)

    async def proxy(self):
        proxy = await Proxy.start(self.url)
        self.addAsyncCleanup(proxy.close)
        return proxy

    async def fails(self, awaitable):
        """Returns the error of a call."""
        with self.assertRaises(PrismError) as raised:
            await awaitable
        return raised.exception


async def eventually(what, holds):
    """Waits until a condition holds."""
    end = time.monotonic() + LIMIT
    while not await holds():
        assert time.monotonic() < end, f"after {LIMIT} seconds: {what}"
        await asyncio.sleep(0.02)


async def calls_in_flight(namespace):
    """The number of calls in a namespace that have not ended."""
    address = environment("PRISM_ADMIN_URL") + "/metrics"
    text = await asyncio.to_thread(lambda: urllib.request.urlopen(address, timeout=LIMIT).read().decode())
    name = f'prism_calls_in_flight{{namespace="{namespace}"}} '
    return sum(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))


class Proxy:
    """Passes connections on to the gateway until it is told to break them."""

    @classmethod
    async def start(cls, url):
        proxy = cls()
        proxy.gateway = url.removeprefix("http://").split(":")
        proxy.writers = set()
        proxy.tasks = set()
        proxy.loses_reply = False
        proxy.server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
        proxy.port = proxy.server.sockets[0].getsockname()[1]
        proxy.url = f"http://127.0.0.1:{proxy.port}"
        return proxy

    async def restore(self):
        """Accepts connections again."""
        self.server = await asyncio.start_server(self.accept, "127.0.0.1", self.port)

    def cut(self):
        """Breaks all connections, and accepts no others."""
        self.server.close()
        self.break_connections()

    def break_connections(self):
        for writer in self.writers:
            writer.transport.abort()

    def lose_next_reply(self):
        """Breaks all connections when the gateway begins to reply: it has executed the call, and the client does not know."""
        self.loses_reply = True

    async def close(self):
        self.cut()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def accept(self, reader, writer):
        self.tasks.add(asyncio.current_task())
        upstream, to_gateway = await asyncio.open_connection(*self.gateway)
        self.writers |= {writer, to_gateway}
        await asyncio.gather(self.forward(reader, to_gateway), self.forward_replies(upstream, writer))
        self.writers -= {writer, to_gateway}

    async def forward(self, reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.transport.abort()

    async def forward_replies(self, reader, writer):
        try:
            while True:
                # A frame of HTTP/2 (RFC 9113, section 4.1): length, type, flags and stream, and as many bytes as the length says.
                head = await reader.readexactly(9)
                is_headers = head[3] == 1
                if is_headers and self.loses_reply:
                    self.loses_reply = False
                    self.break_connections()
                    return
                writer.write(head + await reader.readexactly(int.from_bytes(head[:3])))
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        writer.transport.abort()


class Gateway:
    """A gateway of a case, which it may kill. Its data is in a temporary folder."""

    CONFIG = """
backends: {disk: {type: sqlite, path: prism.db}}
namespaces:
  - {name: default, pattern: keyvalue, slots: {storage: disk}}
"""

    @classmethod
    async def start(cls, case):
        gateway = cls()
        folder = tempfile.TemporaryDirectory()
        case.addCleanup(folder.cleanup)
        gateway.folder = Path(folder.name)
        (gateway.folder / "prism.yaml").write_text(cls.CONFIG)
        gateway.address = "127.0.0.1:0"
        await gateway.run()
        case.addAsyncCleanup(gateway.kill)
        return gateway

    async def run(self):
        """Starts the gateway, always at the same address."""
        arguments = ["serve", "--listen", self.address, "--admin", "127.0.0.1:0"]
        with open(self.folder / "prism.log", "ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                environment("PRISM_PROGRAM"), *arguments, cwd=self.folder, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        while line := await self.process.stdout.readline():
            words = line.split()
            if words[:2] == [b"listener", b"main"]:
                self.url = words[2].decode()
                self.address = self.url.removeprefix("http://")
                return
        raise AssertionError((self.folder / "prism.log").read_text())

    async def kill(self):
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()
