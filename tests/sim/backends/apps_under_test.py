"""Small applications that the tests of the two worlds run: each shows one thing in the trace."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rpcnet.app import NodeContext


async def idle(node: NodeContext) -> None:
    node.ready()
    try:
        await asyncio.Event().wait()
    finally:
        node.record("cleaned_up")


async def bare() -> None:
    await asyncio.sleep(0.05)


async def returns(node: NodeContext) -> None:
    node.ready()


async def says(node: NodeContext, *, word: str, times: int = 1) -> None:
    node.record("said", words=[word] * times, label=node.labels.get("role", ""), drawn=node.random.random())
    node.ready()


async def ticks(node: NodeContext, *, every: float = 0.1) -> None:
    """Records a tick and how late it is, for ever; counts its starts in its directory."""
    counter = node.directory / "starts"
    starts = int(counter.read_text()) + 1 if counter.exists() else 1
    counter.write_text(str(starts))
    node.record("started", starts=starts, address=node.address("rpc"))
    node.ready()
    loop, number = asyncio.get_running_loop(), 0
    due = loop.time()
    while True:
        node.record("tick", number=number, late=loop.time() - due)
        number, due = number + 1, due + every
        await asyncio.sleep(due - loop.time())


async def raises(node: NodeContext, *, after: float = 0.0) -> None:
    if after:
        node.ready()
        await asyncio.sleep(after)
    raise ValueError("the disk is on fire")


GREETING = "good day"


@contextmanager
def rude() -> Iterator[None]:
    """A defect."""
    global GREETING
    before, GREETING = GREETING, "what"
    try:
        yield
    finally:
        GREETING = before


async def greets(node: NodeContext) -> None:
    node.record("greeted", text=GREETING, variable=os.environ.get("RPCNET_TEST_VARIABLE"))
    node.ready()


async def handles_sigterm(node: NodeContext) -> None:
    """Ends by itself when asked to."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    node.ready()
    await asked.wait()
    node.record("said_goodbye")


async def exits(node: NodeContext) -> None:
    """Its process ends without a word."""
    node.ready()
    await asyncio.sleep(0.1)
    os._exit(7)


async def kills_itself(node: NodeContext) -> None:
    node.ready()
    await asyncio.sleep(0.1)
    os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(0)
    node.record("went on")


async def prints(node: NodeContext) -> None:
    print("hello from the node")
    node.ready()


async def spawns(node: NodeContext) -> None:
    """Leaves a process behind."""
    await asyncio.create_subprocess_exec("sleep", "60")
    node.ready()
    await asyncio.Event().wait()


async def quits(node: NodeContext, *, code: int, in_a_task: bool = False) -> None:
    node.ready()

    async def leave() -> None:
        sys.exit(code)

    await (asyncio.create_task(leave()) if in_a_task else leave())
    await asyncio.Event().wait()


async def spins(node: NodeContext) -> None:
    node.ready()
    while True:  # noqa: ASYNC110 - it waits for nothing
        await asyncio.sleep(0)


async def never_ready(node: NodeContext) -> None:
    await asyncio.Event().wait()


async def stubborn(node: NodeContext) -> None:
    """Ignores being cancelled."""
    node.ready()
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            node.record("shrugged")


kept: list[Any] = []


async def leaks(node: NodeContext) -> None:
    """Leaves a task, a listening socket and a timer behind."""
    loop = asyncio.get_running_loop()
    kept.append(loop.create_task(forever(), name="forgotten"))
    kept.append(await asyncio.start_server(lambda r, w: None, *split(node.address("rpc"))))
    loop.call_later(3600, print, "never")
    node.ready()


async def forever() -> None:
    await asyncio.Event().wait()


async def logs(node: NodeContext) -> None:
    logging.getLogger("app").warning("something odd: %s", 42)
    logging.getLogger("app").info("nothing odd")
    node.ready()


async def logs_in_a_thread(node: NodeContext) -> None:
    node.ready()
    await asyncio.to_thread(logging.getLogger("app").warning, "odd in here too")


def split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


class Echo(asyncio.DatagramProtocol):
    def __init__(self, node: NodeContext) -> None:
        self.node = node

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.node.record("heard", source=addr[0], number=int(data.split()[0]) if data[:1].isdigit() else None)
        self.transport.sendto(data, addr)


async def echo(node: NodeContext) -> None:
    """Answers over UDP and TCP on its rpc address."""
    host, port = split(node.address("rpc"))
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Echo(node), local_addr=(host, port))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(line)
            node.record("served", end="eof")
        except ConnectionError as error:
            node.record("served", end=type(error).__name__)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, host, port)
    node.ready()
    try:
        await asyncio.Event().wait()
    finally:
        transport.close()
        server.close()


class Pings(asyncio.DatagramProtocol):
    def __init__(self, node: NodeContext) -> None:
        self.node = node

    def datagram_received(self, data: bytes, addr: Any) -> None:
        number, sent = data.split()
        seconds = asyncio.get_running_loop().time() - float(sent)
        self.node.record("pong", number=int(number), seconds=seconds, source=addr[0])


async def pings(node: NodeContext, *, peer: str, every: float = 0.05) -> None:
    """Sends numbered datagrams to a node's echo and records each before it is sent, and what comes back."""
    loop = asyncio.get_running_loop()
    _, port = split(node.address("rpc"))
    transport, _ = await loop.create_datagram_endpoint(lambda: Pings(node), local_addr=split(node.address("pings")))
    address = (await loop.getaddrinfo(peer, port))[0][4]
    node.ready()
    number = 0
    try:
        while True:
            node.record("ping", number=number)
            transport.sendto(b"%d %r" % (number, loop.time()), address)
            number += 1
            await asyncio.sleep(every)
    finally:
        transport.close()


async def talks(node: NodeContext, *, peer: str, every: float = 0.05) -> None:
    """Sends lines over one TCP connection to a node's echo, records what comes back, and how it ends."""
    loop = asyncio.get_running_loop()
    _, port = split(node.address("rpc"))
    began = loop.time()
    while True:
        try:
            reader, writer = await asyncio.open_connection(peer, port)
            break
        except ConnectionRefusedError:  # The peer is not up yet.
            await asyncio.sleep(0.02)
            began = loop.time()
    node.record("connected", seconds=loop.time() - began)
    node.ready()

    async def send() -> None:
        number = 0
        while True:
            writer.write(b"%d %r\n" % (number, loop.time()))
            number += 1
            await asyncio.sleep(every)

    sender = loop.create_task(send())
    try:
        while line := await reader.readline():
            number, sent = line.split()
            node.record("line", number=int(number), seconds=loop.time() - float(sent))
        node.record("over", how="eof")
        await asyncio.Event().wait()
    except ConnectionError as error:
        node.record("over", how=type(error).__name__)
        await asyncio.Event().wait()
    finally:
        sender.cancel()
        writer.close()


async def connects(node: NodeContext, *, peer: str, every: float = 0.1) -> None:
    """Tries to connect again and again, each time for half a second, and records what came of it."""
    _, port = split(node.address("rpc"))
    node.ready()
    while True:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(peer, port), 0.5)
        except (OSError, TimeoutError) as error:
            how = "silence" if isinstance(error, TimeoutError) else type(error).__name__
            node.record("tried", how=how)
        else:
            node.record("tried", how="connected")
            writer.close()
        await asyncio.sleep(every)


async def sleeps(node: NodeContext, *, seconds: float) -> None:
    """Blocks its own loop."""
    node.ready()
    time.sleep(seconds)  # noqa: ASYNC251 - that is what it is for
    node.record("slept")


class Hears(asyncio.DatagramProtocol):
    def __init__(self, node: NodeContext) -> None:
        self.node = node

    def datagram_received(self, data: bytes, addr: Any) -> None:
        number, sent, *_ = data.split(b" ")
        whole = data.endswith(b"." * 100)
        try:
            self.node.record("heard", number=int(number), sent=float(sent), whole=whole, source=addr[0])
        except ValueError:
            self.node.record("heard", number=-1, sent=0.0, whole=False, source=addr[0])


async def hears(node: NodeContext) -> None:
    """Records every datagram that comes to its rpc address, and ticks."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Hears(node), local_addr=split(node.address("rpc")))
    try:
        await ticks(node, every=0.05)
    finally:
        transport.close()


async def counts(node: NodeContext, *, peer: str, every: float = 0.02, burst: int = 1) -> None:
    """Sends numbered datagrams to whoever hears."""
    loop = asyncio.get_running_loop()
    _, port = split(node.address("rpc"))
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=split(node.address("counts"))
    )
    address = (await loop.getaddrinfo(peer, port))[0][4]
    node.ready()
    number = 0
    try:
        while True:
            for _ in range(burst):
                # Before it is sent: a busy machine may stop us between the two, and it would seem to arrive too soon.
                node.record("counted", number=number)
                transport.sendto(b"%d %r %s" % (number, loop.time(), b"." * 100), address)
                number += 1
            await asyncio.sleep(every)
    finally:
        transport.close()


async def looks_at_its_clock(node: NodeContext) -> None:
    loop = asyncio.get_running_loop()
    node.ready()
    while True:
        node.record("looked", wall=node.wall_clock(), loop=loop.time())
        await asyncio.sleep(0.1)


async def works(node: NodeContext) -> None:
    """Says again and again how long 200 turns took in which it worked a little."""
    loop = asyncio.get_running_loop()
    node.ready()
    while True:
        began = loop.time()
        for _ in range(200):
            sum(range(4000))
            await asyncio.sleep(0)
        node.record("worked", seconds=loop.time() - began)
        await asyncio.sleep(0.05)
