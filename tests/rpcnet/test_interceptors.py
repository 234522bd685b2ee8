"""Interceptors see every call, of any shape, at either end, and their outcome is the call's."""

import asyncio
import gc
import logging
import weakref
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from rpcnet import (
    Cancelled,
    DeadlineExceeded,
    InterceptedCall,
    Internal,
    InvalidArgument,
    NotFound,
    Proceed,
    RpcClient,
    RpcError,
    RpcServer,
    StreamError,
    Unauthenticated,
    Unavailable,
    current_call,
    log_calls,
)

SHAPES = ["unary", "client_streaming", "server_streaming", "bidirectional"]
ERROR: ContextVar[str] = ContextVar("error", default="")


def register(server: RpcServer) -> None:
    async def unary(payload: bytes) -> bytes:
        fail(payload)
        return payload

    async def upload(items: AsyncIterator[bytes]) -> bytes:
        whole = b"".join([item async for item in items])
        fail(whole)
        return whole

    async def download(payload: bytes) -> AsyncIterator[bytes]:
        yield payload
        fail(payload)
        yield payload

    async def chat(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for item in items:
            yield item
            fail(item)

    server.register("unary", unary)
    server.register_streaming("client_streaming", upload, shape="client_streaming")
    server.register_streaming("server_streaming", download, shape="server_streaming")
    server.register_streaming("bidirectional", chat)

    async def length(payload: str) -> int:
        return len(payload)

    server.register_typed("length", length)


def fail(payload: bytes) -> None:
    if payload == b"fail":
        raise NotFound("as asked")
    if payload == b"break":
        raise ValueError("as asked")


async def result(client: RpcClient, shape: str, payload: bytes = b"x", **options: Any) -> list[bytes]:
    """What a call gives, as a list."""
    if shape == "unary":
        return [await client.call(shape, payload, **options)]
    if shape == "client_streaming":
        return [await client.call_client_streaming(shape, [payload], **options)]
    if shape == "server_streaming":
        return [item async for item in client.call_server_streaming(shape, payload, **options)]
    async with client.call_streaming(shape, [payload], **options) as stream:
        return [item async for item in stream]


ANSWER = {"unary": [b"x"], "client_streaming": [b"x"], "server_streaming": [b"x", b"x"], "bidirectional": [b"x"]}


class Seen:
    """An interceptor that keeps what it saw."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.told: list[tuple[Any, ...]] = []

    async def __call__(self, call: InterceptedCall, proceed: Proceed) -> Any:
        self.told.append((self.name, "before", call.side, call.method, call.shape, call.request))
        try:
            reply = await proceed()
        except BaseException as error:
            self.told.append((self.name, type(error)))
            raise
        self.told.append((self.name, "after", reply))
        return reply


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", ["client", "server"])
def test_an_interceptor_sees_a_call_from_its_start_to_its_end(world, pair, shape: str, side: str) -> None:
    async def main() -> None:
        seen = Seen()
        async with pair(register, **{f"{side}_interceptors": [seen]}) as (_, client):
            assert await result(client, shape) == ANSWER[shape]
        request = b"x" if shape in ("unary", "server_streaming") else None
        reply = b"x" if shape in ("unary", "client_streaming") else None
        assert seen.told == [("", "before", side, shape, shape, request), ("", "after", reply)]

    world.run(main())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", ["client", "server"])
def test_proceed_raises_the_error_of_the_call(world, pair, shape: str, side: str) -> None:
    async def main() -> None:
        seen = Seen()
        async with pair(register, **{f"{side}_interceptors": [seen]}) as (_, client):
            with pytest.raises(NotFound):
                await result(client, shape, b"fail")
            with pytest.raises(Internal):
                await result(client, shape, b"break")
        kinds = [kind for _, kind in seen.told[1::2]]
        assert issubclass(kinds[0], NotFound)
        assert issubclass(kinds[1], ValueError if side == "server" else Internal)

    world.run(main())


@pytest.mark.parametrize("shape", SHAPES)
def test_the_first_interceptor_is_the_outermost(world, pair, shape: str) -> None:
    async def main() -> None:
        told: list[tuple[Any, ...]] = []
        outer, inner, served = Seen("outer"), Seen("inner"), Seen("served")
        outer.told = inner.told = served.told = told
        async with pair(register, client_interceptors=[outer, inner], server_interceptors=[served]) as (_, client):
            await result(client, shape)
        assert [(name, what) for name, what, *_ in told] == [
            ("outer", "before"),
            ("inner", "before"),
            ("served", "before"),
            ("served", "after"),
            ("inner", "after"),
            ("outer", "after"),
        ]

    world.run(main())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("when", ["before", "after", "instead"])
def test_what_an_interceptor_raises_is_what_the_caller_gets(world, pair, shape: str, side: str, when: str) -> None:
    async def refuse(call: InterceptedCall, proceed: Proceed) -> Any:
        if when == "before":
            raise Unauthenticated("who are you?")
        try:
            await proceed()
        except NotFound:
            raise Unauthenticated("who are you?") from None
        raise Unauthenticated("who are you?")

    async def main() -> None:
        async with pair(register, **{f"{side}_interceptors": [refuse]}) as (server, client):
            with pytest.raises(Unauthenticated, match="who are you"):
                await result(client, shape, b"fail" if when == "instead" else b"x")
            assert server.stats.running_handlers == 0

    world.run(main())


@pytest.mark.parametrize("shape", ["server_streaming", "bidirectional"])
@pytest.mark.parametrize("has_proceeded", [False, True])
def test_an_interceptor_error_never_looks_like_a_complete_stream(world, pair, shape: str, has_proceeded: bool) -> None:
    async def careless(call: InterceptedCall, proceed: Proceed) -> Any:
        if has_proceeded:
            await proceed()
        raise StopAsyncIteration

    async def main() -> None:
        async with pair(register, client_interceptors=[careless]) as (_, client):
            with pytest.raises(RuntimeError, match="StopAsyncIteration"):
                await result(client, shape)

    world.run(main())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", ["client", "server"])
def test_an_error_that_an_interceptor_swallows_is_none(world, pair, shape: str, side: str) -> None:
    async def soften(call: InterceptedCall, proceed: Proceed) -> Any:
        try:
            return await proceed()
        except NotFound:
            return b"instead"

    async def main() -> None:
        async with pair(register, **{f"{side}_interceptors": [soften]}) as (_, client):
            single = shape in ("unary", "client_streaming")
            assert await result(client, shape, b"fail") == ([b"instead"] if single else [b"fail"])

    world.run(main())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("side", ["client", "server"])
def test_an_interceptor_may_answer_without_the_call(world, pair, shape: str, side: str) -> None:
    async def answer(call: InterceptedCall, proceed: Proceed) -> Any:
        return b"from the cache"

    async def main() -> None:
        async with pair(register, **{f"{side}_interceptors": [answer]}) as (server, client):
            single = shape in ("unary", "client_streaming")
            assert await result(client, shape) == ([b"from the cache"] if single else [])
            if side == "client":
                assert server.stats.running_handlers == 0

    world.run(main())


@pytest.mark.parametrize("shape", SHAPES)
def test_metadata_changed_before_proceed_is_what_arrives(world, pair, shape: str) -> None:
    heard: list[dict[str, Any]] = []

    async def sign(call: InterceptedCall, proceed: Proceed) -> Any:
        call.metadata["token"] = "t"
        return await proceed()

    async def listen(call: InterceptedCall, proceed: Proceed) -> Any:
        heard.append(dict(call.metadata))
        heard.append(dict(current_call().metadata))
        return await proceed()

    async def main() -> None:
        async with pair(register, client_interceptors=[sign], server_interceptors=[listen]) as (_, client):
            mine = {"mine": "1"}
            await result(client, shape, metadata=mine)
            assert mine == {"mine": "1"}
        assert heard == [{"mine": "1", "token": "t"}] * 2

    world.run(main())


@pytest.mark.parametrize("shape", SHAPES)
def test_metadata_that_cannot_be_sent_is_refused_as_without_interceptors(world, pair, shape: str) -> None:
    async def spoil(call: InterceptedCall, proceed: Proceed) -> Any:
        call.metadata["token"] = 1  # type: ignore[assignment]
        return await proceed()

    async def main() -> None:
        async with pair(register, client_interceptors=[spoil]) as (_, client):
            for metadata in (None, {"key": 1}, 3):
                with pytest.raises(InvalidArgument, match="metadata must be"):
                    await result(client, shape, metadata=metadata)

    world.run(main())


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_unary_call_may_be_made_again_or_several_at_once(world, pair, side: str) -> None:
    async def again(call: InterceptedCall, proceed: Proceed) -> Any:
        try:
            await proceed()
        except NotFound:
            pass
        replies = await asyncio.gather(proceed(), proceed(), return_exceptions=True)
        return b"%d" % sum(isinstance(reply, NotFound) for reply in replies)

    async def main() -> None:
        async with pair(register, **{f"{side}_interceptors": [again]}) as (_, client):
            assert await client.call("unary", b"fail") == b"2"

    world.run(main())


@pytest.mark.parametrize("shape", SHAPES[1:])
@pytest.mark.parametrize("side", ["client", "server"])
def test_a_stream_proceeds_once(world, pair, shape: str, side: str) -> None:
    async def twice(call: InterceptedCall, proceed: Proceed) -> Any:
        await proceed()
        with pytest.raises(RuntimeError, match=r"proceed\(\) runs once"):
            await proceed()
        raise NotFound("it was refused")

    async def main() -> None:
        async with pair(register, **{f"{side}_interceptors": [twice]}) as (_, client):
            with pytest.raises(NotFound, match="it was refused"):
                await result(client, shape)

    world.run(main())


@pytest.mark.parametrize("shape", SHAPES)
def test_the_deadline_holds_while_an_interceptor_waits(world, pair, shape: str) -> None:
    lefts: list[float | None] = []

    async def wait(call: InterceptedCall, proceed: Proceed) -> Any:
        lefts.append(call.time_left())
        await asyncio.sleep(0.05)
        lefts.append(call.time_left())
        return await proceed()

    async def main() -> None:
        async with pair(register, client_interceptors=[wait]) as (server, client):
            with pytest.raises(DeadlineExceeded):
                await result(client, shape, timeout=0.01)
            assert server.stats.running_handlers == 0
            assert await result(client, shape, timeout=10.0) == ANSWER[shape]
        assert lefts[0] is not None
        assert 0 < lefts[0] <= 0.01
        assert lefts[-1] is not None
        assert 9 < lefts[-1] < 9.96

    world.run(main())


@pytest.mark.parametrize("shape", ["server_streaming", "bidirectional"])
@pytest.mark.parametrize("how", ["abort", "drop", "close"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_letting_go_of_a_stream_ends_its_interceptors(world, pair, eventually, shape: str, how: str, when: str) -> None:
    ended: list[type[BaseException]] = []

    async def forever(payload: Any) -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    async def watch(call: InterceptedCall, proceed: Proceed) -> Any:
        try:
            if when == "before":
                await asyncio.sleep(1000)
            return await proceed()
        except BaseException as error:
            ended.append(type(error))
            raise

    async def main() -> None:
        def endless(server: RpcServer) -> None:
            server.register_streaming("server_streaming", forever, shape="server_streaming")
            server.register_streaming("bidirectional", forever)

        async with pair(endless, client_interceptors=[watch]) as (server, client):
            if shape == "bidirectional":
                stream = client.call_streaming(shape)
            else:
                stream = client.call_server_streaming(shape, b"")
            if when == "after":
                assert await stream.receive() == b"x"
            else:
                await asyncio.sleep(0)
            if how == "abort":
                stream.abort()
                with pytest.raises(Cancelled):
                    await stream.receive()
            elif how == "close":
                await client.close()
            del stream
            await eventually(lambda: bool(ended))
            await eventually(lambda: server.stats.running_handlers == 0)
        assert issubclass(ended[0], asyncio.CancelledError if when == "before" else Cancelled)

    world.run(main())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_cancelled_caller_cancels_what_an_interceptor_waits_for(world, pair, eventually, shape: str) -> None:
    started: list[str] = []

    async def serve(call: InterceptedCall, proceed: Proceed) -> Any:
        started.append(call.method)
        await asyncio.sleep(1000)

    async def main() -> None:
        async with pair(register, client_interceptors=[Seen()], server_interceptors=[serve]) as (server, client):
            running = asyncio.create_task(result(client, shape))
            await eventually(lambda: bool(started))
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            await eventually(lambda: server.stats.running_handlers == 0)

    world.run(main())


def test_a_refused_request_is_not_decoded(world, pair) -> None:
    async def refuse(call: InterceptedCall, proceed: Proceed) -> Any:
        if not call.metadata:
            raise Unauthenticated("no token")
        if call.metadata["token"] == "look":
            assert call.request == "four"
        return await proceed()

    async def main() -> None:
        async with pair(register, server_interceptors=[refuse]) as (_, client):
            with pytest.raises(Unauthenticated):
                await client.call("length", 4)
            for token in ("look", "do not"):
                with pytest.raises(InvalidArgument, match="Expected `str`"):
                    await client.call("length", 4, metadata={"token": token})
                assert await client.call("length", "four", response=int, metadata={"token": token}) == 4

    world.run(main())


def test_a_request_is_what_the_caller_gave(world, pair) -> None:
    seen: list[Any] = []

    async def look(call: InterceptedCall, proceed: Proceed) -> Any:
        seen.append(call.request)
        reply = await proceed()
        assert reply == 4
        return reply + 1

    async def main() -> None:
        async with pair(register, client_interceptors=[look]) as (_, client):
            assert await client.call("length", "four", response=int) == 5
        assert seen == ["four"]

    world.run(main())


def test_a_context_variable_set_before_proceed_is_seen_inside(world, pair) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="unset")

    async def set_it(call: InterceptedCall, proceed: Proceed) -> Any:
        variable.set(f"by the {call.side}")
        return await proceed()

    async def main() -> None:
        heard: list[str] = []

        def with_variable(server: RpcServer) -> None:
            async def tell(payload: bytes) -> bytes:
                heard.append(variable.get())
                return payload

            server.register("tell", tell)

        async with pair(with_variable, server_interceptors=[set_it]) as (_, client):
            await client.call("tell")
        assert heard == ["by the server"]

    world.run(main())


@pytest.mark.parametrize("shape", SHAPES)
def test_an_answer_that_does_not_fit_is_an_error_at_the_server(world, pair, shape: str, caplog: Any) -> None:
    async def misfit(call: InterceptedCall, proceed: Proceed) -> Any:
        await proceed()
        return 3.5

    async def main() -> None:
        async with pair(register, server_interceptors=[misfit]) as (_, client):
            if shape in ("unary", "client_streaming"):
                with pytest.raises(Internal, match="does not fit its type"):
                    await result(client, shape)
            else:
                assert await result(client, shape) == ANSWER[shape]

    world.run(main())


@pytest.mark.parametrize("wrong", [len, "name", 3, None, [len], [None], ["name"], [3]])
@pytest.mark.parametrize("end", [RpcServer, RpcClient.connect])
def test_what_is_no_interceptor_is_refused(wrong: Any, end: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="interceptor"):
        end("127.0.0.1:0", interceptors=wrong)


def test_a_call_that_cannot_reach_its_server_tells_the_interceptor(world) -> None:
    async def main() -> None:
        seen = Seen()
        async with RpcServer("127.0.0.1:0") as server:
            client = await RpcClient.connect(server.address, interceptors=[seen])
        async with client:
            for shape in SHAPES:
                with pytest.raises(Unavailable):
                    await result(client, shape, timeout=1.0)
        assert [issubclass(kind, Unavailable) for _, kind in seen.told[1::2]] == [True] * 4

    world.run(main())


@pytest.mark.parametrize("payload", [b"x", b"fail"])
@pytest.mark.parametrize("shape", ["server_streaming", "bidirectional"])
def test_a_stream_behind_interceptors_leaves_no_cycle(world, pair, shape: str, payload: bytes) -> None:
    async def main() -> None:
        async with pair(register, client_interceptors=[Seen()]) as (_, client):
            gc.collect()
            gc.disable()
            try:
                if shape == "bidirectional":
                    stream = client.call_streaming(shape, [payload])
                else:
                    stream = client.call_server_streaming(shape, payload)
                gone = weakref.ref(stream)
                try:
                    async for _ in stream:
                        pass
                except StreamError:
                    pass
                del stream
                await asyncio.sleep(0.01)
                assert gone() is None
                calls = [one for one in gc.get_objects() if type(one).__name__ == "ClientCall"]
                assert calls == []
            finally:
                gc.enable()

    world.run(main())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_log_line_for_each_call_says_how_it_ended(world, pair, shape: str, caplog: Any) -> None:
    async def main() -> None:
        async with pair(register, client_interceptors=[log_calls()], server_interceptors=[log_calls()]) as (_, client):
            await result(client, shape)
            for payload in (b"fail", b"break"):
                with pytest.raises(RpcError):
                    await result(client, shape, payload)

    with caplog.at_level(logging.INFO, "rpcnet.calls"):
        world.run(main())
    lines = [(each.levelname, each.getMessage()) for each in caplog.records if each.name == "rpcnet.calls"]
    ends = [(level, text.partition(" after ")[0]) for level, text in lines]
    assert sorted(ends) == sorted(
        [("INFO", f"{side} {shape} {shape}: OK") for side in ("client", "server")]
        + [("WARNING", f"{side} {shape} {shape}: NOT_FOUND") for side in ("client", "server")]
        + [("WARNING", f"{side} {shape} {shape}: INTERNAL") for side in ("client", "server")]
    )
