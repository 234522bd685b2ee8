"""The addresses of a name, tried one after the other without waiting for one that is silent ("Happy Eyeballs").

That is RFC 8305. asyncio's own (`happy_eyeballs_delay`) leaves sockets open where it is cancelled in the turn in which
one connects (seen in 3.11 to 3.13), and uvloop has none. Knows no socket: an attempt is a function, and closes what it
opened when it is cancelled. What two attempts bring in one turn is both there; whoever called keeps one.

Tests: tests/rpcnet/client/test_race.py.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from itertools import chain, zip_longest
from typing import Any, Final

__all__ = ["NEXT_ADDRESS", "first_of", "hosts_in_turns"]

NEXT_ADDRESS: Final = 0.25
"""Seconds after which the next address is tried as well, while the ones before are silent: RFC 8305, section 5."""


def hosts_in_turns(infos: Iterable[Any]) -> list[str]:
    """The addresses of what getaddrinfo gave, its own order kept, but families in turns (RFC 8305, section 4)."""
    families: dict[int, list[str]] = {}
    for family, _, _, _, address in infos:
        host = address[0]
        if family == socket.AF_INET6 and len(address) == 4 and address[3] and "%" not in host:
            host = f"{host}%{address[3]}"  # of a link: only with its interface
        families.setdefault(family, []).append(host)
    turns = chain.from_iterable(zip_longest(*families.values()))
    return list(dict.fromkeys(host for host in turns if host is not None))


async def first_of(attempts: Iterable[Callable[[], Coroutine[Any, Any, Any]]], delay: float) -> None:
    """Return when one of them has succeeded; the others are cancelled. OSError where none does, with all reasons.

    The next one starts when the last one has failed, or after `delay` seconds. What an attempt raises beside OSError
    is raised here.
    """
    waiting = deque(attempts)
    running: set[asyncio.Task[Any]] = set()
    errors: list[OSError] = []
    loop = asyncio.get_running_loop()
    try:
        while waiting or running:
            if waiting:
                running.add(loop.create_task(waiting.popleft()(), name="rpcnet connect to one address"))
            timeout = delay if waiting else None
            done, _ = await asyncio.wait(running, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(done, key=_has_failed):
                running.discard(task)
                try:
                    task.result()
                except OSError as error:
                    errors.append(error)
                else:
                    return
        if len(errors) == 1:
            raise errors[0]
        raise OSError(f"Multiple exceptions: {', '.join(map(str, errors))}")  # as asyncio: unreachable.py reads it
    finally:
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
            for task in running:
                _has_failed(task)
        errors.clear()  # else they are in a cycle with this frame


def _has_failed(task: asyncio.Task[Any]) -> bool:
    return task.cancelled() or task.exception() is not None
