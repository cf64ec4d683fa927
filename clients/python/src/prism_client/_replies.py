"""The replies of a stream."""

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, cast

from google.protobuf.message import Message
from grpc.aio import EOF, AioRpcError

from ._error import PrismError, connection_closed, is_task_cancelled, read_error
from ._retry import RetryPolicy
from ._rpc import Effect, Rpc

Item = TypeVar("Item", bound=Message)


class StreamingCall(Protocol):
    """A call of gRPC whose replies are a stream."""

    async def read(self) -> object: ...

    def cancel(self) -> bool: ...


class Requests(Generic[Item]):
    """The requests of a stream. Keeps the exception that ends them, because gRPC reports it as a cancellation."""

    def __init__(self, requests: AsyncIterable[Item] | Iterable[Item]) -> None:
        self._requests = requests
        self.failure: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[Item]:
        try:
            if isinstance(self._requests, AsyncIterable):
                async for request in self._requests:
                    yield request
            else:
                for request in self._requests:
                    yield request
        except Exception as failure:
            self.failure = failure
            raise


class Replies(AsyncIterator[Item]):
    """The replies of a stream, read as the caller takes them: `async for reply in replies`. The call begins when the first one is awaited.

    It ends with an error, when `cancel` is called or an `async with` is left, and when nothing refers to the replies any longer.
    """

    def __init__(
        self,
        rpc: Rpc[Any, Item],
        open_call: Callable[[], StreamingCall],
        retry: RetryPolicy,
        request: Any = None,
        requests: Requests[Any] | None = None,
    ) -> None:
        self._rpc = rpc
        self._open_call = open_call
        self._retry = retry
        # What `open_call` sends, with the last cursor. `None` if the requests are a stream, which can't be read again.
        self._request = request
        self._requests = requests
        self._call: StreamingCall | None = None
        self._has_ended = False
        # Whether a reply has come, and since the last cursor was set, how many.
        self._has_begun = False
        self._received = 0
        # Whether the last reply has no cursor, so that the stream can't continue after it.
        self._lacks_cursor = False

    def cancel(self) -> None:
        """Ends the call and its replies."""
        self._has_ended = True
        if self._call is not None:
            self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        attempt = 0
        while not self._has_ended:
            try:
                if self._call is None:
                    self._call = self._open_call()
                reply = await self._call.read()
            except AioRpcError as status:
                self._call = None
                attempt += 1
                await self._pause(attempt, read_error(status), status)
            except asyncio.CancelledError:
                if not is_task_cancelled():
                    self._raise_cause()
                    break
                # Whoever stops to wait, as with `asyncio.timeout`, may wait again: the stream continues, if it can.
                if self._call is not None:
                    self._call.cancel()
                    self._call = None
                self._has_ended = self._has_ended or not self._can_reopen() or not self._lower_limit()
                raise
            else:
                if reply is EOF:
                    break
                return self._take(cast(Item, reply))
        self._has_ended = True
        raise StopAsyncIteration

    def _take(self, reply: Item) -> Item:
        self._has_begun = True
        if self._rpc.resumes:
            cursor = cast(Any, reply).cursor
            self._lacks_cursor = not cursor
            self._received += 1
            if cursor:
                self._request.cursor = cursor
        return reply

    async def _pause(self, attempt: int, error: PrismError, cause: AioRpcError) -> None:
        """Waits until the stream may continue after an error, or raises it."""
        passes = error.is_interruption if self._rpc.resumes else error.is_transient
        if not self._has_ended and passes and self._can_reopen():
            if not self._lower_limit():
                self._has_ended = True
                return
            pause = self._retry.pause(attempt, error)
            if pause is not None:
                await asyncio.sleep(pause)
                return
        if not self._has_ended:
            self._has_ended = True
            raise error from cause

    def _can_reopen(self) -> bool:
        if self._rpc.resumes:
            return not self._lacks_cursor
        return self._request is not None and self._rpc.effect is Effect.READS and not self._has_begun

    def _lower_limit(self) -> bool:
        """Lowers the limit of the request by what was received. Returns whether anything is left."""
        received, self._received = self._received, 0
        limit = getattr(self._request, "limit", 0) if self._rpc.resumes else 0
        if limit > 0:
            self._request.limit = max(0, limit - received)
            return limit > received
        return True

    def _raise_cause(self) -> None:
        """Raises why the call was ended here, unless it was by `cancel`."""
        if not self._has_ended:
            self._has_ended = True
            failure = self._requests.failure if self._requests is not None else None
            raise failure or connection_closed() from None

    def __del__(self) -> None:
        # gRPC would keep a call whose requests have not ended. When the loop is closed, its calls are over.
        with contextlib.suppress(RuntimeError):
            self.cancel()
