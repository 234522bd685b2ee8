"""Trying the addresses of a name: their order, the delay, what becomes of the losers."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

import pytest

import sim
from rpcnet import RpcClient, RpcServer
from rpcnet.client.race import first_of, hosts_in_turns

FOUR, SIX = socket.AF_INET, socket.AF_INET6


def info(host: str, scope: int = 0) -> Any:
    family = SIX if ":" in host else FOUR
    address = (host, 7000, 0, scope) if family == SIX else (host, 7000)
    return family, socket.SOCK_STREAM, 6, "", address


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        (["10.0.0.1"], ["10.0.0.1"]),
        (["10.0.0.2", "10.0.0.1", "10.0.0.2"], ["10.0.0.2", "10.0.0.1"]),
        (["fd::1", "fd::2", "fd::3", "10.0.0.1"], ["fd::1", "10.0.0.1", "fd::2", "fd::3"]),
        (["10.0.0.1", "10.0.0.2", "fd::1"], ["10.0.0.1", "fd::1", "10.0.0.2"]),
    ],
)
def test_families_take_turns_and_the_first_stays_first(given: list[str], expected: list[str]) -> None:
    assert hosts_in_turns([info(host) for host in given]) == expected


def test_an_address_of_a_link_keeps_its_interface() -> None:
    assert hosts_in_turns([info("fe80::1", 3), info("fe80::1", 4)]) == ["fe80::1%3", "fe80::1%4"]


class Attempts:
    """Attempts that succeed, fail, or stay silent; notes when each began and how it ended."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}
        self.ended: dict[str, str] = {}

    def __call__(
        self, name: str, seconds: float, error: Exception | None = None
    ) -> Callable[[], Coroutine[Any, Any, Any]]:
        return partial(self._attempt, name, seconds, error)

    async def _attempt(self, name: str, seconds: float, error: Exception | None) -> None:
        self.began[name] = asyncio.get_running_loop().time()
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self.ended[name] = "cancelled"
            raise
        self.ended[name] = "failed" if error else "connected"
        if error is not None:
            raise error


def refused(host: str) -> OSError:
    return ConnectionRefusedError(111, f"Connect call failed ('{host}', 7000)")


def run(*plans: tuple[str, float, Exception | None], delay: float = 0.25) -> tuple[Attempts, float]:
    attempts = Attempts()

    async def main() -> float:
        loop = asyncio.get_running_loop()
        before, began = asyncio.all_tasks(), loop.time()
        await first_of([attempts(*plan) for plan in plans], delay)
        took = loop.time() - began
        assert asyncio.all_tasks() == before
        attempts.began = {name: round(time - began, 3) for name, time in attempts.began.items()}
        return round(took, 3)

    return attempts, sim.run(main(), seed=1)


def test_a_silent_address_holds_the_next_up_for_the_delay() -> None:
    attempts, took = run(("a", 100.0, None), ("b", 0.1, None), ("c", 0.1, None))
    assert (attempts.began, took) == ({"a": 0.0, "b": 0.25}, 0.35)
    assert attempts.ended == {"a": "cancelled", "b": "connected"}


def test_an_address_that_refuses_holds_nobody_up() -> None:
    attempts, took = run(("a", 0.01, refused("a")), ("b", 0.01, None))
    assert (attempts.began, took) == ({"a": 0.0, "b": 0.01}, 0.02)


def test_the_first_may_still_win_while_the_second_is_tried() -> None:
    attempts, took = run(("a", 0.3, None), ("b", 100.0, None))
    assert took == 0.3
    assert attempts.ended == {"a": "connected", "b": "cancelled"}


def test_a_failure_beside_a_success_does_not_count() -> None:
    attempts, _ = run(("a", 0.5, refused("a")), ("b", 0.25, None))
    assert attempts.ended == {"a": "failed", "b": "connected"}


def test_where_all_fail_the_error_has_every_reason() -> None:
    with pytest.raises(OSError, match=r"Multiple exceptions: .*\('a', 7000\), .*\('b', 7000\)"):
        run(("a", 0.1, refused("a")), ("b", 0.3, refused("b")))
    with pytest.raises(ConnectionRefusedError, match=r"\('a', 7000\)"):
        run(("a", 0.1, refused("a")))


def test_another_error_ends_the_race() -> None:
    with pytest.raises(ValueError, match="odd"):
        run(("a", 100.0, None), ("b", 0.1, ValueError("odd")), ("c", 0.1, None))


@pytest.mark.parametrize("moment", [0.0, 0.1, 0.3, 0.5])
def test_a_cancelled_race_leaves_no_attempt(moment: float) -> None:
    async def main() -> None:
        attempts = Attempts()
        before = asyncio.all_tasks()
        race = asyncio.create_task(first_of([attempts("a", 0.5, None), attempts("b", 100, None)], 0.25))
        await asyncio.sleep(moment)
        race.cancel()
        await asyncio.wait([race])
        assert asyncio.all_tasks() == before
        assert race.cancelled() or attempts.ended["a"] == "connected"

    sim.run(main(), seed=1)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("others", [[], ["127.0.0.2"]])
def test_a_connection_by_name_is_closed_whenever_it_is_cancelled(
    world: Any, eventually: Any, others: list[str]
) -> None:
    """In each turn: asyncio's own race leaves a socket open in one of them."""

    async def echo(payload: bytes) -> bytes:
        return payload

    async def connect(address: str) -> None:
        async with RpcClient.connect(address) as client:
            await client.call("echo", b"x")

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        before = asyncio.all_tasks()
        server = RpcServer("127.0.0.1:0")
        server.register("echo", echo)

        async def getaddrinfo(host: str, port: int, **options: Any) -> Any:
            return [(FOUR, socket.SOCK_STREAM, 6, "", (each, port)) for each in ("127.0.0.1", *others)]

        async with server:
            port = server.address.rpartition(":")[2]
            loop.getaddrinfo = getaddrinfo
            for turns in range(40):
                task = asyncio.ensure_future(connect(f"localhost:{port}"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                await eventually(lambda: not server.stats.connections)
            await connect(f"localhost:{port}")
            del loop.getaddrinfo
        await eventually(lambda: asyncio.all_tasks() == before)

    world.run(main())
