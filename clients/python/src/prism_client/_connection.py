"""Connections to a gateway."""

import re
import secrets
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import grpc
from grpc.aio import Channel, insecure_channel, secure_channel

from ._error import Code, PrismError, connection_closed
from ._retry import RetryPolicy

# Maximum size of a reply message: 64 MiB.
_MAX_REPLY_BYTES = 64 << 20

_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_receive_message_length", _MAX_REPLY_BYTES),
    # Calls are repeated here, by what their RPC allows.
    ("grpc.enable_retries", 0),
    # A connection without a sign of life while calls wait is checked, so that a stream notices a gateway that is gone.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.max_pings_without_data", 0),
    # How long an attempt to connect may take, and the pauses between attempts. By default, they grow to two minutes, and calls fail
    # during a pause.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A connection of its own, and not one that all channels to an address share with their pauses.
    ("grpc.use_local_subchannel_pool", 1),
]


class Connection:
    """A connection to a gateway, which all its clients share. It connects with the first call, and again after a failure.

    It belongs to the event loop that runs when it is created. Close it, or use it with `async with`.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        metadata: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        retry: RetryPolicy | None = None,
        idempotency_keys: bool = False,
        ca_certificate: bytes | None = None,
    ) -> None:
        """Begins a connection. A gateway that is down is no error here.

        Args:
            url: `http://HOST:PORT` or `https://HOST:PORT`.
            token: is sent with each call as a bearer token: an API key or a JWT.
            metadata: is sent with each call.
            timeout: the seconds that a unary call may take, with all attempts.
            retry: how often calls are repeated.
            idempotency_keys: sends a new idempotency key with each unary call that writes, and repeats such calls too. The namespaces must
                store keys; with a namespace that does not, a repeated call may be executed twice.
            ca_certificate: trusts this certificate (PEM) instead of those that come with gRPC.

        Raises:
            PrismError: `INVALID_URL`, or `INVALID_METADATA`.
        """
        address, is_secure = _target(url)
        self.metadata = checked_metadata(metadata or {})
        if token is not None:
            self.metadata |= checked_metadata({"authorization": f"Bearer {token}"})
        self.timeout = timeout
        self.retry = retry or RetryPolicy()
        self.idempotency_keys = idempotency_keys
        self._is_closed = False
        self._channel: Channel
        if is_secure:
            self._channel = secure_channel(address, grpc.ssl_channel_credentials(ca_certificate), options=_OPTIONS)
        else:
            self._channel = insecure_channel(address, options=_OPTIONS)

    @property
    def channel(self) -> Channel:
        """The channel of gRPC. Raises `CONNECTION_CLOSED` when the connection is closed."""
        if self._is_closed:
            raise connection_closed()
        return self._channel

    async def close(self) -> None:
        """Ends the connection. Its calls fail with `CONNECTION_CLOSED`."""
        self._is_closed = True
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()


def checked_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Returns metadata that gRPC accepts."""
    checked = {}
    for name, value in metadata.items():
        if not re.fullmatch(r"[0-9A-Za-z_.-]+", name) or name.lower().startswith("grpc-"):
            raise PrismError(Code.INVALID_ARGUMENT, "INVALID_METADATA", f"the name {name!r} can't be metadata")
        if not re.fullmatch(r"[\x20-\x7e]*", value) or name.lower().endswith("-bin"):
            raise PrismError(Code.INVALID_ARGUMENT, "INVALID_METADATA", f"the value of {name} can't be metadata; it must be printable ASCII")
        checked[name.lower()] = value
    return checked


def new_idempotency_key() -> str:
    """Returns a new idempotency key."""
    return f'"{secrets.token_hex(16)}"'


def _target(url: str) -> tuple[str, bool]:
    """Returns the address of a URL, and whether it needs TLS."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        raise _invalid_url(url) from None
    if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username is not None:
        raise _invalid_url(url)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{port}", parts.scheme == "https"


def _invalid_url(url: str) -> PrismError:
    message = f"{url!r} is no URL of a gateway; write http://HOST:PORT or https://HOST:PORT"
    return PrismError(Code.INVALID_ARGUMENT, "INVALID_URL", message)
