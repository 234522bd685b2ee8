"""docs/howto/interceptors.md: every block runs, and does what the page says."""

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from rpcnet import DeadlineExceeded, RpcClient, RpcServer, Unauthenticated, Unavailable

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "interceptors.md").read_text()


@pytest.fixture
def names() -> dict[str, Any]:
    """What the blocks of the page define, run one after another in one module."""
    defined: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "interceptors.md", "exec"), defined)
    return defined


def test_both_ends_run_their_interceptor(world: Any, names: dict[str, Any], caplog: Any) -> None:
    with caplog.at_level(logging.INFO):
        assert world.run(names["both_ends"]()) == 42
    sides = [line.split()[:2] for line in caplog.messages if " took " in line]
    assert sorted(sides) == [["client", "double"], ["server", "double"]]


def test_calls_are_logged_as_the_page_shows(world: Any, names: dict[str, Any], caplog: Any) -> None:
    with caplog.at_level(logging.INFO, "rpcnet.calls"):
        world.run(names["logged"]())
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    lines = [record.getMessage() for record in caplog.records if record.name == "rpcnet.calls"]
    assert [without_times(line) for line in lines] == [without_times(line) for line in shown.splitlines()]


def without_times(line: str) -> str:
    return re.sub(r"\d+\.\d+", "0", line)


def test_a_token_lets_its_owner_in(world: Any, names: dict[str, Any]) -> None:
    assert world.run(names["as_ada"]("m3Wz_9kT7vQx2LrB8sJdYw")) == "ada"


@pytest.mark.parametrize("token", ["", "wrong", "m3Wz_9kT7vQx2LrB8sJdY", "é"])
def test_another_token_is_refused(world: Any, names: dict[str, Any], token: str) -> None:
    with pytest.raises(Unauthenticated, match="give a valid token"):
        world.run(names["as_ada"](token))


@pytest.mark.parametrize("authorization", [None, "ada", b"Bearer good", "Basic good", "bearer"])
def test_metadata_without_a_bearer_token_is_refused(world: Any, names: dict[str, Any], authorization: Any) -> None:
    async def main() -> None:
        server = names["make_server"](names["require_token"]({"ada": names["digest"]("good")}))
        async with server, RpcClient.connect(server.address) as client:
            metadata = {} if authorization is None else {"authorization": authorization}
            with pytest.raises(Unauthenticated):
                await client.call("double", 1, metadata=metadata)
            with pytest.raises(Unauthenticated):
                await anext(client.call_server_streaming("count", 1, metadata=metadata))
            good = {"authorization": "Bearer good"}
            assert await client.call("double", 1, response=int, metadata=good) == 2

    world.run(main())


def test_built_in_methods_need_the_token_too(world: Any, names: dict[str, Any]) -> None:
    async def main() -> None:
        server = names["make_server"](names["require_token"]({"ada": names["digest"]("good")}))
        async with server, RpcClient.connect(server.address) as client:
            with pytest.raises(Unauthenticated):
                await client.call("rpcnet.health/check", {})
            good = {"authorization": "Bearer good"}
            told = await client.call("rpcnet.health/check", {}, response=dict[str, str], metadata=good)
            assert told["status"] == "SERVING"

    world.run(main())


def failing_server(failures: int) -> tuple[RpcServer, list[str]]:
    """A server whose first calls fail as if it went away."""
    attempts: list[str] = []

    async def fails(method: str, number: int) -> int:
        attempts.append(method)
        if len(attempts) <= failures:
            raise Unavailable("not yet")
        return 2 * number

    async def double(number: int) -> int:
        return await fails("double", number)

    async def pay(number: int) -> int:
        return await fails("pay", number)

    server = RpcServer("127.0.0.1:0")
    server.register_typed("double", double)
    server.register_typed("pay", pay)
    return server, attempts


@pytest.mark.parametrize("failures", [0, 2, 3])
def test_a_safe_call_is_made_three_times(world: Any, names: dict[str, Any], failures: int) -> None:
    async def main() -> None:
        server, attempts = failing_server(failures)
        async with server, RpcClient.connect(server.address, interceptors=[names["try_again"]]) as client:
            if failures < 3:
                assert await client.call("double", 4, response=int) == 8
            else:
                with pytest.raises(Unavailable):
                    await client.call("double", 4, response=int)
        assert len(attempts) == min(failures + 1, 3)

    world.run(main())


def test_another_call_is_made_once(world: Any, names: dict[str, Any]) -> None:
    async def main() -> None:
        server, attempts = failing_server(1)
        async with server, RpcClient.connect(server.address, interceptors=[names["try_again"]]) as client:
            with pytest.raises(Unavailable):
                await client.call("pay", 4, response=int)
            assert attempts == ["pay"]

    world.run(main())


def test_all_attempts_share_the_deadline(world: Any, names: dict[str, Any]) -> None:
    async def main() -> None:
        server, attempts = failing_server(2)

        async def pause(_: Any, proceed: Any) -> Any:
            try:
                return await proceed()
            finally:
                await asyncio.sleep(0.5)

        interceptors = [names["try_again"], pause]
        async with server, RpcClient.connect(server.address, interceptors=interceptors) as client:
            with pytest.raises(DeadlineExceeded):
                await client.call("double", 4, response=int, timeout=0.4)
        assert attempts == ["double"]

    world.run(main())


@pytest.mark.parametrize("slow", [0, 1, 2])
def test_hedging_takes_the_first_answer(world: Any, names: dict[str, Any], eventually: Any, slow: int) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0")
        came = 0

        async def double(number: int) -> int:
            nonlocal came
            came += 1
            if slow in (came, 0):
                await asyncio.sleep(0.2 if slow == 0 else 1000)
            return came

        server.register_typed("double", double)
        async with server, RpcClient.connect(server.address, interceptors=[names["hedge"]]) as client:
            answer = await client.call("double", 1, response=int)
            assert (answer, came) == {0: (2, 2), 1: (2, 2), 2: (1, 1)}[slow]
            await eventually(lambda: server.stats.running_handlers == 0)

    world.run(main())


def test_metadata_and_trailers_come_as_the_page_says(world: Any, names: dict[str, Any]) -> None:
    async def main() -> None:
        server = names["make_server"]()
        server.register_typed("page", names["page"])
        server.register_typed("lines", names["lines"])
        async with server, RpcClient.connect(server.address) as client:
            assert await names["beside_the_answers"](client) == [
                *("We are here.", {"language": "fr"}, {"cache": "hit"}),
                *({"language": "en"}, {"cache": "miss"}),
                *({"lines": "2"}, ["We are", "here."], {"checksum": b"*"}),
            ]

    world.run(main())


def test_the_end_of_a_call_is_noted_however_it_ends(world: Any, names: dict[str, Any], eventually: Any) -> None:
    async def main() -> None:
        finished = names["finished"]
        server = names["make_server"]()
        server.register_typed("wait", names["wait"])
        async with server, RpcClient.connect(server.address) as client:
            await client.call("wait", 0.0)
            await eventually(lambda: finished == [("wait", False)])
            with pytest.raises(DeadlineExceeded):
                await client.call("wait", 1000.0, timeout=0.05)
            await eventually(lambda: finished[1:] == [("wait", True)])

    world.run(main())


def test_work_in_a_thread_ends_when_its_call_is_cancelled(names: dict[str, Any], eventually: Any) -> None:
    async def main() -> None:
        server = names["make_server"]()
        server.register_typed("crunch", names["crunch"])
        async with server, RpcClient.connect(server.address) as client:
            assert await client.call("crunch", 3, response=int) == 3
            with pytest.raises(DeadlineExceeded):
                await client.call("crunch", 10**15, timeout=0.05)
            await eventually(lambda: names["finished"] == [("crunch", False), ("crunch", True)])

    asyncio.run(main())  # which waits for its threads: it would not end if the work went on
