"""What the code that `rpcnet-gen` writes stands on. Its names are for that code, which imports nothing else of rpcnet.

Knows no service. Tests: tests/rpcnet/codegen/test_module.py.
"""

import ssl
from collections.abc import AsyncIterable, Callable, Generator, Iterable
from enum import Enum
from random import Random
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeAlias, TypeVar

from rpcnet.client import DEFAULT, RpcClient
from rpcnet.client.bidirectional import BidirectionalStream
from rpcnet.client.client import Connecting, Seconds
from rpcnet.client.stream import ClientStream
from rpcnet.config import RpcConfig
from rpcnet.errors import Metadata
from rpcnet.interceptors import Interceptor
from rpcnet.server import RpcServer

__all__ = [
    "ABSENT",
    "DEFAULT",
    "Absent",
    "ClientStream",
    "ConnectingService",
    "ItemsOf",
    "Metadata",
    "RpcServer",
    "Seconds",
    "ServiceClient",
    "answer_type",
    "given",
]

T = TypeVar("T")
Client = TypeVar("Client", bound="ServiceClient")
ItemsOf: TypeAlias = AsyncIterable[T] | Iterable[T] | BidirectionalStream[T]
"""What the items of a call are taken from."""


class Absent(Enum):
    """Stands for an argument that is not given: it is not sent, and the server takes its own default."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


def given(**arguments: Any) -> dict[str, Any]:
    """Those that are given."""
    return {name: value for name, value in arguments.items() if value is not ABSENT}


def answer_type(kind: Any) -> type[Any]:
    """A type for `response=` that is no class to type checkers, as `int | None`; None is that of None."""
    answer: type[Any] = type(None) if kind is None else kind
    return answer


class ServiceClient:
    """Calls of one service. `async with` closes the client at the end, whoever made it."""

    def __init__(self, rpc_client: RpcClient) -> None:
        self.rpc_client = rpc_client

    @classmethod
    def connect(
        cls,
        address: str,
        *,
        tls: ssl.SSLContext | None = None,
        config: RpcConfig | None = None,
        random: Random | None = None,
        wall_clock: Callable[[], float] | None = None,
        interceptors: Iterable[Interceptor] = (),
    ) -> "ConnectingService[Self]":
        """As `RpcClient.connect`: `async with` it or `await` it. Unavailable where the server cannot be reached."""
        connecting = RpcClient.connect(
            address, tls=tls, config=config, random=random, wall_clock=wall_clock, interceptors=interceptors
        )
        return ConnectingService(cls, connecting)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.rpc_client.__aexit__(kind, error, trace)


class ConnectingService(Generic[Client]):
    """What `ServiceClient.connect` returns."""

    __slots__ = ("_connecting", "_make")

    def __init__(self, make: Callable[[RpcClient], Client], connecting: Connecting) -> None:
        self._make = make
        self._connecting = connecting

    def __await__(self) -> Generator[Any, None, Client]:
        return self._make((yield from self._connecting.__await__()))

    async def __aenter__(self) -> Client:
        return self._make(await self._connecting.__aenter__())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connecting.__aexit__(kind, error, trace)
