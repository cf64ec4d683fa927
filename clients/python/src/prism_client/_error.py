"""Errors of calls."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc.aio import AioRpcError

Code = grpc.StatusCode

_DETAILS = "grpc-status-details-bin"
# What a connection that breaks, or a gateway that is killed, makes of an open call.
_BARE = (Code.UNKNOWN, Code.INTERNAL, Code.CANCELLED)


class PrismError(Exception):
    """Why a call failed."""

    code: Code
    """The canonical code."""
    reason: str
    """The stable reason, such as `KEY_NOT_FOUND`. Empty if the server is no Prism."""
    message: str
    """The message for people."""
    metadata: Mapping[str, str]
    """Facts about the error, such as the `limit` that a value exceeds."""
    retry_after: float | None
    """The seconds after which the server asks to try again."""

    def __init__(
        self, code: Code, reason: str, message: str, *, metadata: Mapping[str, str] | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(code, reason, message)
        self.code = code
        self.reason = reason
        self.message = message
        self.metadata = MappingProxyType(dict(metadata or {}))
        self.retry_after = retry_after

    def __str__(self) -> str:
        return f"{self.code.name} {self.reason}: {self.message}" if self.reason else f"{self.code.name}: {self.message}"

    @property
    def is_transient(self) -> bool:
        """Whether the same call may succeed a moment later."""
        asks = self.code in (Code.RESOURCE_EXHAUSTED, Code.ABORTED) and self.retry_after is not None
        return self.code is Code.UNAVAILABLE or asks

    @property
    def is_interruption(self) -> bool:
        """Whether a stream was interrupted, and may continue on another connection. A gateway that is killed may end it with a bare status;
        other errors of a gateway have a reason."""
        return self.is_transient or (self.code in _BARE and not self.reason)


def read_error(status: AioRpcError) -> PrismError:
    """Reads the error of a status, with its details."""
    code, message = status.code(), status.details() or ""
    reason, metadata, retry_after = "", {}, None
    for detail in _details(status):
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            reason, metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    # A status without a reason is not the gateway's.
    if not reason and code is Code.UNAVAILABLE:
        reason, message = "CONNECTION_LOST", f"the connection to the gateway is lost, or can't be made: {message}"
    if not reason and code is Code.DEADLINE_EXCEEDED:
        reason, message = "DEADLINE_EXCEEDED", "the call took longer than its deadline allows"
    return PrismError(code, reason, message, metadata=metadata, retry_after=retry_after)


def connection_closed() -> PrismError:
    """Returns the error of a call whose connection was closed by the program."""
    return PrismError(Code.CANCELLED, "CONNECTION_CLOSED", "the connection was closed; create another one for further calls")


def is_task_cancelled() -> bool:
    """Whether a `CancelledError` concerns the task that waits for a call. gRPC raises it also when the call itself was ended."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _details(status: AioRpcError) -> list[Any]:
    for name, value in status.trailing_metadata() or ():
        if name == _DETAILS and isinstance(value, bytes):
            try:
                return list(status_pb2.Status.FromString(value).details)
            except DecodeError:
                return []
    return []
