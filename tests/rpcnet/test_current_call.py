"""What a handler can ask of the call that it serves, and be told of its end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rpcnet import CurrentCall, FailedPrecondition, NotFound, RpcError, RpcServer, current_call


def test_a_callback_is_called_once_the_call_has_ended(world, pair, eventually) -> None:
    told: list[tuple[str, bool, int]] = []

    async def main() -> None:
        def register(server: RpcServer) -> None:
            def done(call: CurrentCall) -> None:
                told.append((call.method, call.cancelled(), server.stats.running_handlers))

            async def fine(payload: bytes) -> bytes:
                current_call().add_done_callback(done)
                current_call().add_done_callback(done)
                if payload:
                    raise NotFound
                return payload

            async def forever(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
                current_call().add_done_callback(done)
                yield b"x"
                await asyncio.sleep(1000)

            server.register("fine", fine)
            server.register_streaming("forever", forever)

        async with pair(register) as (_, client):
            await client.call("fine")
            await eventually(lambda: told == [("fine", False, 0)] * 2)
            with pytest.raises(NotFound):
                await client.call("fine", b"x")
            await eventually(lambda: told[2:] == [("fine", False, 0)] * 2)
            async with client.call_streaming("forever") as stream:
                await stream.receive()
            await eventually(lambda: told[4:] == [("forever", True, 0)])

    world.run(main())


def test_a_callback_that_comes_late_is_called_as_well(world, pair, eventually) -> None:
    told: list[str] = []

    async def main() -> None:
        kept: list[CurrentCall] = []

        def register(server: RpcServer) -> None:
            async def keep(payload: bytes) -> bytes:
                kept.append(current_call())
                return payload

            server.register("keep", keep)

        async with pair(register) as (server, client):
            await client.call("keep")
            await eventually(lambda: server.stats.running_handlers == 0)
            kept[0].add_done_callback(lambda call: told.append(call.method))
            await eventually(lambda: told == ["keep"])
            kept.clear()

    world.run(main())


def test_a_callback_that_raises_harms_no_other(world, pair, eventually) -> None:
    told: list[str] = []
    complaints: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["exception"]))

        def register(server: RpcServer) -> None:
            def wrong(call: CurrentCall) -> None:
                raise ValueError("planted")

            async def keep(payload: bytes) -> bytes:
                current_call().add_done_callback(wrong)
                current_call().add_done_callback(lambda call: told.append(call.method))
                return payload

            server.register("keep", keep)

        async with pair(register) as (_, client):
            assert await client.call("keep", b"x") == b"x"
            await eventually(lambda: told == ["keep"])
            assert await client.call("keep", b"y") == b"y"

    world.run(main())
    assert {type(each) for each in complaints} == {ValueError}


@pytest.mark.parametrize("how", ["let go", "deadline", "stop"])
def test_a_handler_can_ask_whether_it_was_cancelled(world, pair, eventually, how: str) -> None:
    heard: list[bool] = []

    async def main() -> None:
        def register(server: RpcServer) -> None:
            async def stubborn(payload: bytes) -> bytes:
                call = current_call()
                heard.append(call.cancelled())
                try:
                    await asyncio.sleep(1000)
                finally:
                    heard.append(call.cancelled())
                return payload

            server.register("stubborn", stubborn)

        async with pair(register) as (server, client):
            running = asyncio.create_task(client.call("stubborn", timeout=0.05 if how == "deadline" else None))
            await eventually(lambda: heard == [False])
            if how == "let go":
                running.cancel()
            elif how == "stop":
                await server.stop(0.0)
            with pytest.raises((RpcError, asyncio.CancelledError)):
                await running
            await eventually(lambda: heard == [False, True])

    world.run(main())


def test_metadata_is_sent_once(world, pair) -> None:
    async def main() -> None:
        async def twice(payload: bytes) -> bytes:
            current_call().send_metadata({"number": "first"})
            with pytest.raises(FailedPrecondition, match="works once, before the first item"):
                current_call().send_metadata({"number": "second"})
            return payload

        async with pair(lambda server: server.register("twice", twice)) as (_, client):
            reply = await client.call_with_metadata("twice", b"x")
            assert (reply.value, reply.metadata) == (b"x", {"number": "first"})

    world.run(main())
