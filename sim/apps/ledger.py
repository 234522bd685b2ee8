"""A server that enters lines in a ledger, clients that hand them in one after the other, and a judge of both.

Every entry is a fact in the trace at both ends, so that one that was lost, or entered twice, is seen. A client goes on
to its next server when one is unavailable; every other error loses the entry, which is a gap in its numbers.

Tests: tests/sim/apps/test_ledger.py.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from rpcnet import RpcClient, RpcError, RpcServer, Unavailable
from rpcnet.app import NodeContext
from sim.apps.roles import find_named, serve_as
from sim.trace import Event

__all__ = ["Entry", "each_once", "hand_in", "keep"]

PAUSE = 0.1
"""Seconds until an entry that a server did not take is handed to the next one."""
BACK_OFF = 0.5
"""Seconds at most until a server that could not be reached is tried again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """Which entry it is: who hands it in, in which of its lines, and its number there."""

    client: str
    line: int
    index: int


async def keep(
    node: NodeContext, *, seconds_per_entry: float = 0.2, max_resets: int = 1000, resets_per_second: float = 33.0
) -> None:
    """Offer `enter`, which takes `seconds_per_entry`, and `wait`, which never ends. Ends when stopped."""
    config = replace(node.rpc_config, max_resets=max_resets, resets_per_second=resets_per_second)
    server = RpcServer(node.address("rpc"), tls=node.tls, config=config)

    @server.method("enter")
    async def enter(entry: Entry) -> int:
        node.record("entered", client=entry.client, line=entry.line, index=entry.index)
        await asyncio.sleep(seconds_per_entry)
        return entry.index

    @server.method("wait")
    async def wait(question: int) -> int:
        await asyncio.Event().wait()
        return question

    await serve_as("ledger", node, server)


async def hand_in(
    node: NodeContext,
    *,
    servers: list[str],
    lines: int = 1,
    entries: int = 20,
    every: float = 0.1,
    timeout: float | None = None,
) -> None:
    """Hand in `entries` entries in each of `lines` lines side by side, then stay a member until stopped.

    `servers` are asked in turn. `every`: about so many seconds lie between an answer and the next entry. `timeout`:
    seconds for one attempt, None = no limit.
    """
    async with node.cluster() as cluster, AsyncExitStack() as stack:
        await cluster.register_self({"role": "clerk"})
        config = replace(node.rpc_config, max_reconnect_backoff=BACK_OFF)
        clients = [
            await stack.enter_async_context(RpcClient.connect(address, tls=node.tls, config=config))
            for address in await find_named(cluster, servers)
        ]
        node.ready()
        async with asyncio.TaskGroup() as group:
            for line in range(lines):
                group.create_task(_hand_in_line(node, clients, line, entries, every, timeout))
        await asyncio.Event().wait()


async def _hand_in_line(
    node: NodeContext, clients: list[RpcClient], line: int, entries: int, every: float, timeout: float | None
) -> None:
    node.record("stream_opened", stream=line)
    turn = line
    for index in range(entries):
        await asyncio.sleep(every * node.random.uniform(0.5, 1.5))
        while True:
            turn += 1
            try:
                answer = await clients[turn % len(clients)].call(
                    "enter", Entry(node.name, line, index), response=int, timeout=timeout
                )
                node.record("answered", client=node.name, line=line, index=answer)
            except Unavailable as error:
                node.record("went_on", line=line, index=index, error=str(error))
                await asyncio.sleep(PAUSE)
                continue
            except RpcError as error:
                log.warning("entry %d of line %d is lost: %s", index, line, error)
            break
    node.record("stream_completed", stream=line)


def each_once(trace: Iterable[Event]) -> bool:
    """Whether every entry that a server saw was entered once, by one server, and answered once."""
    entered: Counter[tuple[object, ...]] = Counter()
    answered: Counter[tuple[object, ...]] = Counter()
    for event in trace:
        if event.name in ("entered", "answered"):
            entry = event.fields["client"], event.fields["line"], event.fields["index"]
            (entered if event.name == "entered" else answered)[entry] += 1
    twice = [entry for entry, times in entered.items() if times > 1]
    assert not twice, f"{len(twice)} entries were entered more than once, the first is {twice[0]}"
    odd = [entry for entry in entered | answered if entered[entry] != answered[entry]]
    assert not odd, f"{len(odd)} entries were entered and not answered once, the first is {odd[0]}"
    return bool(entered)
