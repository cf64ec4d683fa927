"""What the clients of all patterns have in common."""

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from ._caller import Caller, Support
from ._connection import Connection
from ._rpc import Rpc
from .contracts.prism.patterns.slots.v1.capabilities_pb2 import Capabilities


class PatternClient:
    """A client of a pattern. Its subclasses have a method for each RPC."""

    _pattern: ClassVar[str]
    _get_capabilities: ClassVar[Rpc[Any, Any]]

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @classmethod
    async def open(cls, connection: Connection, namespace: str) -> Self:
        """Opens a namespace: reads its capabilities, and checks that it has the pattern of this client."""
        caller = Caller(connection, namespace)
        reply = await caller.unary(cls._get_capabilities, cls._get_capabilities.request())
        caller.set_capabilities(cls._pattern, reply.capabilities)
        return cls(caller)

    def with_options(
        self, *, timeout: float | None = None, metadata: Mapping[str, str] | None = None, idempotency_key: str | None = None
    ) -> Self:
        """Returns a client whose calls have these options, and no others.

        Args:
            timeout: the seconds that a call may take, with all attempts. For a stream: how long it may last.
            metadata: is sent with each call, besides that of the connection.
            idempotency_key: the key of a call that writes. A call with the same key and the same request is executed once, so it is repeated
                if its connection fails. Use the client for one call only.
        """
        changed = copy.copy(self)
        changed._caller = self._caller.with_options(timeout, metadata, idempotency_key)
        return changed

    @property
    def capabilities(self) -> Capabilities:
        """What the namespace supports, as read when the client was opened."""
        return self._caller.capabilities

    def support(self, rpc: str) -> Support:
        """Returns how the namespace supports an RPC, such as `Store`."""
        return self._caller.support(rpc)
