"""The facts about an RPC that a call needs."""

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from google.protobuf.message import Message

Request = TypeVar("Request", bound=Message)
Reply = TypeVar("Reply", bound=Message)


class Effect(Enum):
    """What a call changes. Decides whether it can be repeated."""

    READS = "reads"
    """Nothing."""
    IDEMPOTENT = "idempotent"
    """A repeated call leaves the same data as one call."""
    WRITES = "writes"
    """Each call changes the data."""


@dataclass(frozen=True)
class Rpc(Generic[Request, Reply]):
    """An RPC of a pattern."""

    path: str
    """The path of its requests."""
    name: str
    """Its name, such as `Store`."""
    effect: Effect
    request: type[Request]
    reply: type[Reply]
    resumes: bool
    """Whether its stream can continue after a cursor."""
