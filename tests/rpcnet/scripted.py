"""A transport whose other end is the test: it takes what a connection writes, and says when writing must pause."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import sim
from rpcnet import Interceptor, RpcClient, RpcConfig
from rpcnet.wire import writer
from rpcnet.wire.frame import Frame, Hello
from rpcnet.wire.parser import Parser

__all__ = ["WINDOW", "Scripted", "client_of", "hello", "run"]

WINDOW = 4096


def hello(**changed: int) -> Hello:
    """What a scripted server greets with."""
    limits = {
        "max_message_bytes": 1 << 20,
        "max_frame_bytes": 1 << 17,
        "max_metadata_bytes": 1000,
        "max_streams": 10,
        "stream_window_bytes": WINDOW,
        "connection_window_bytes": 10 * WINDOW,
    }
    return Hello(**{**limits, **changed})


def run(main: Coroutine[Any, Any, None]) -> None:
    sim.run(main, seed=1)


class Scripted(asyncio.Transport):
    """`frames` are those that the connection has written; `say` sends it bytes."""

    def __init__(self, protocol: Any) -> None:
        super().__init__({"peername": ("scripted", 1)})
        self.protocol = protocol
        self.frames: list[Frame] = []
        self.writes = 0
        self._parser = Parser(1 << 20)
        self._closing = False
        protocol.connection_made(self)

    def say(self, *frames: bytes) -> None:
        self.protocol.data_received(b"".join(frames))

    def kinds(self) -> list[int]:
        return [kind for kind, _, _, _ in self.frames]

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes += 1
        self.frames += self._parser.receive(bytes(data))

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close


def client_of(
    hello: Hello, config: RpcConfig | None = None, interceptors: Iterable[Interceptor] = ()
) -> tuple[RpcClient, Callable[[], Scripted]]:
    """A client whose server is the test, greets like this, and what gives its transport once it is connected."""
    transports: list[Scripted] = []

    async def join(protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        transports.append(Scripted(protocol()))
        transports[-1].say(writer.greeting(hello))

    client = RpcClient("unix:scripted", config=config, interceptors=interceptors, open_transport=join)
    return client, lambda: transports[-1]
