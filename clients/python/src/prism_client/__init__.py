"""A client of Prism's patterns over gRPC, for asyncio.

Each pattern has a module with its messages and a client, such as `prism_client.keyvalue.KeyValueClient`. A client reads the capabilities of its
namespace when it is opened, so a call that the namespace does not support fails without a request.
"""

from ._caller import Support
from ._connection import Connection
from ._error import Code, PrismError
from ._replies import Replies
from ._retry import RetryPolicy
from .contracts.prism.patterns.slots.v1.capabilities_pb2 import Capabilities

__all__ = ["Capabilities", "Code", "Connection", "PrismError", "Replies", "RetryPolicy", "Support"]
