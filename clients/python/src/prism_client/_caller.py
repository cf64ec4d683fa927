"""Calls RPCs of a namespace: capabilities, deadlines, retries, and streams that continue."""

import asyncio
import copy
import time
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Self

from grpc.aio import AioRpcError

from ._connection import Connection, checked_metadata, new_idempotency_key
from ._error import Code, PrismError, connection_closed, is_task_cancelled, read_error
from ._replies import Replies, Requests, StreamingCall
from ._rpc import Effect, Reply, Request, Rpc
from .contracts.prism.patterns.slots.v1.capabilities_pb2 import Capabilities


class Support(IntEnum):
    """How a namespace supports an RPC."""

    UNKNOWN = 0
    """The gateway does not have this RPC."""
    NATIVE = 1
    """The backend has what it needs."""
    EMULATED = 2
    """The gateway does it with other operations of the backend. `note` of the capability says what that costs."""
    UNAVAILABLE = 3
    """Calls fail without a request."""

    @classmethod
    def _missing_(cls, value: object) -> "Support":
        # A later version of the gateway may have more kinds.
        return cls.UNKNOWN


@dataclass(frozen=True)
class CallOptions:
    """Options of the calls of a client."""

    timeout: float | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None


class Caller:
    """Calls the RPCs of one namespace. The clients of patterns use it."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self._metadata = checked_metadata({"x-prism-namespace": namespace})
        self._options = CallOptions()
        self.capabilities = Capabilities()

    def set_capabilities(self, pattern: str, capabilities: Capabilities) -> None:
        """Sets the capabilities. Fails if the namespace has another pattern."""
        if capabilities.pattern != pattern:
            message = f"the namespace {self._namespace} has the pattern {capabilities.pattern}, not {pattern}"
            raise PrismError(Code.FAILED_PRECONDITION, "OTHER_PATTERN", message)
        self.capabilities = capabilities

    def with_options(self, timeout: float | None, metadata: Mapping[str, str] | None, idempotency_key: str | None) -> Self:
        if idempotency_key is not None:
            checked_metadata({"idempotency-key": idempotency_key})
        changed = copy.copy(self)
        changed._options = CallOptions(timeout, checked_metadata(metadata or {}), idempotency_key)
        return changed

    def support(self, rpc: str) -> Support:
        for operation in self.capabilities.operations:
            if operation.rpc == rpc:
                return Support(int(operation.support))
        return Support.UNKNOWN

    async def unary(self, rpc: Rpc[Request, Reply], request: Request) -> Reply:
        """Calls an RPC with one request and one reply."""
        self._check(rpc)
        deadline = self._deadline(self._connection.timeout)
        key = self._idempotency_key(rpc)
        repeats = rpc.effect is not Effect.WRITES or key is not None
        attempt = 0
        while True:
            call = self._connection.channel.unary_unary(rpc.path, rpc.request.SerializeToString, rpc.reply.FromString)
            try:
                return await call(request, timeout=_remaining(deadline), metadata=self._call_metadata(key))
            except AioRpcError as status:
                error = read_error(status)
                attempt += 1
                pause = self._connection.retry.pause(attempt, error) if repeats and error.is_transient else None
                # There may be no time for another attempt.
                if pause is None or time.monotonic() + pause >= deadline:
                    raise error from status
            except asyncio.CancelledError:
                if is_task_cancelled():
                    raise
                raise connection_closed() from None
            await asyncio.sleep(pause)

    def replies(self, rpc: Rpc[Request, Reply], request: Request) -> Replies[Reply]:
        """Calls an RPC whose replies are a stream. If they have cursors, the stream continues after an interruption. If the RPC only reads, it
        is repeated until the first reply."""
        self._check(rpc)
        deadline = self._deadline(None)
        current = rpc.request()
        current.CopyFrom(request)

        def open_call() -> StreamingCall:
            call = self._connection.channel.unary_stream(rpc.path, rpc.request.SerializeToString, rpc.reply.FromString)
            return call(current, timeout=_remaining(deadline), metadata=self._call_metadata(None))

        return Replies(rpc, open_call, self._connection.retry, request=current)

    async def upload(self, rpc: Rpc[Request, Reply], requests: AsyncIterable[Request] | Iterable[Request]) -> Reply:
        """Calls an RPC whose requests are a stream. It is not repeated."""
        self._check(rpc)
        sent = Requests(requests)
        call = self._connection.channel.stream_unary(rpc.path, rpc.request.SerializeToString, rpc.reply.FromString)
        timeout = _remaining(self._deadline(None))
        try:
            return await call(aiter(sent), timeout=timeout, metadata=self._call_metadata(None))
        except AioRpcError as status:
            raise read_error(status) from status
        except asyncio.CancelledError:
            if is_task_cancelled():
                raise
            raise sent.failure or connection_closed() from None

    def duplex(self, rpc: Rpc[Request, Reply], requests: AsyncIterable[Request] | Iterable[Request]) -> Replies[Reply]:
        """Calls an RPC with a stream in each direction. It is not repeated."""
        self._check(rpc)
        deadline = self._deadline(None)
        sent = Requests(requests)

        def open_call() -> StreamingCall:
            call = self._connection.channel.stream_stream(rpc.path, rpc.request.SerializeToString, rpc.reply.FromString)
            return call(aiter(sent), timeout=_remaining(deadline), metadata=self._call_metadata(None))

        return Replies(rpc, open_call, self._connection.retry, requests=sent)

    def _check(self, rpc: Rpc[Any, Any]) -> None:
        """Fails if the namespace does not support an RPC, without a request."""
        if self.support(rpc.name) is Support.UNAVAILABLE:
            lacking = next(operation.interface for operation in self.capabilities.operations if operation.rpc == rpc.name)
            message = f"the namespace {self._namespace} does not support {rpc.name}: its backend lacks {lacking}"
            raise PrismError(Code.UNIMPLEMENTED, "CAPABILITY_UNAVAILABLE", message)

    def _deadline(self, default: float | None) -> float:
        timeout = default if self._options.timeout is None else self._options.timeout
        return float("inf") if timeout is None else time.monotonic() + timeout

    def _idempotency_key(self, rpc: Rpc[Any, Any]) -> str | None:
        if rpc.effect is Effect.READS:
            return None
        if self._options.idempotency_key is None and self._connection.idempotency_keys:
            return new_idempotency_key()
        return self._options.idempotency_key

    def _call_metadata(self, key: str | None) -> list[tuple[str, str | bytes]]:
        keys = {} if key is None else {"idempotency-key": key}
        return list((self._connection.metadata | self._options.metadata | self._metadata | keys).items())


def _remaining(deadline: float) -> float | None:
    """Returns the seconds that are left, or `None` if there is no deadline."""
    return None if deadline == float("inf") else deadline - time.monotonic()
