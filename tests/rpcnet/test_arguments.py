"""Methods with several parameters, defaults, or none: what a caller gives is what the handler gets, in all shapes.

How a signature is read: test_service.py. The bytes: docs/protocol.md, "Arguments".
"""

import asyncio
import functools
import gc
import inspect
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rpcnet import (
    BidirectionalStream,
    InvalidArgument,
    ResourceExhausted,
    RpcClient,
    RpcConfig,
    RpcServer,
    StreamError,
    Unimplemented,
    current_call,
    service,
)
from rpcnet.codec import PACKED
from rpcnet.service import OPTIONS
from rpcnet.wire import writer
from rpcnet.wire.frame import ARGUMENTS, FLAG_ITEM, HEADER, HEADER_BYTES, OPEN, decode_open


@dataclass
class Point:
    x: int
    y: int = 0


@service
class Calculator:
    async def add(self, a: int, b: int = 0) -> int:
        return a + b

    async def negate(self, number: int) -> int:
        return -number

    async def only_named(self, *, number: int) -> int:
        return number

    async def scale(self, point: Point, *, by: int, shift: list[int] = [0, 0]) -> Point:  # noqa: B006
        return Point(point.x * by + shift[0], point.y * by + shift[1])

    async def version(self) -> str:
        return "1"

    async def maybe(self, text: str = "nothing") -> str:
        return text

    async def upto(self, stop: int, start: int = 0) -> AsyncIterator[int]:
        for number in range(start, stop):
            yield number

    async def ticks(self) -> AsyncIterator[int]:
        yield 1
        yield 2

    async def total(self, numbers: AsyncIterator[int], start: int = 0) -> int:
        return start + sum([number async for number in numbers])

    async def shifted(self, by: int, numbers: AsyncIterator[int], *, label: str = "") -> AsyncIterator[str]:
        async for number in numbers:
            yield f"{label}{number + by}"


def calculator(server: RpcServer) -> None:
    server.register_service(Calculator())


async def collected(items: Any) -> list[Any]:
    return [item async for item in items]


def test_arguments_arrive_by_position_and_by_name(world, pair) -> None:
    async def main() -> None:
        async with pair(calculator) as (_, client):
            calls = client.service(Calculator)
            assert [await calls.add(1), await calls.add(1, 2), await calls.add(b=3, a=1)] == [1, 3, 4]
            assert [await calls.negate(1), await calls.negate(number=2), await calls.only_named(number=3)] == [
                -1,
                -2,
                3,
            ]
            assert await calls.scale(Point(1, 2), by=3) == Point(3, 6)
            assert await calls.scale(by=3, point=Point(1, 2), shift=[5, 6]) == Point(8, 12)
            assert [await calls.version(), await calls.maybe(), await calls.maybe("x")] == ["1", "nothing", "x"]

    world.run(main())


def test_arguments_go_beside_streams_of_every_shape(world, pair) -> None:
    async def several() -> AsyncIterator[int]:
        for number in (1, 2):
            yield number

    async def main() -> None:
        async with pair(calculator) as (_, client):
            calls: Any = client.service(Calculator)
            assert await collected(calls.upto(3)) == [0, 1, 2]
            assert await collected(calls.upto(start=1, stop=3)) == [1, 2]
            assert await collected(calls.ticks()) == [1, 2]
            assert [await calls.total(several()), await calls.total([1, 2], 10), await calls.total([], start=5)] == [
                3,
                13,
                5,
            ]
            assert await collected(calls.shifted(10, several(), label="n")) == ["n11", "n12"]
            assert await collected(calls.shifted(numbers=[1], by=1)) == ["2"]
            both = BidirectionalStream[int]()
            async with calls.shifted(1, both) as answers:
                await both.sender.send(4)
                assert await anext(answers) == "5"
            async with calls.shifted(1, None) as answers:
                await answers.send(5)
                await answers.end()
                assert await collected(answers) == ["6"]

    world.run(main())


def test_only_given_arguments_travel_and_one_alone_is_bare(world, pair) -> None:
    came: list[Any] = []

    def register(server: RpcServer) -> None:
        async def keep(payload: bytes) -> bytes:
            came.append(msgspec.msgpack.decode(payload))
            return msgspec.msgpack.encode(0)

        for name in ("add", "negate", "only_named"):
            server.register(f"Calculator.{name}", keep)

        async def keep_text(payload: bytes) -> bytes:
            await keep(payload)
            return msgspec.msgpack.encode("")

        for name in ("version", "maybe"):
            server.register(f"Calculator.{name}", keep_text)

    async def main() -> None:
        async with pair(register) as (_, client):
            calls = client.service(Calculator)
            await calls.add(1)
            await calls.add(1, 0)
            await calls.add(b=2, a=1)
            await calls.negate(number=3)
            await calls.only_named(number=4)
            await calls.version()
            await calls.maybe()
            assert came == [{"a": 1}, {"a": 1, "b": 0}, {"a": 1, "b": 2}, 3, 4, {}, {}]

    world.run(main())


def test_arguments_that_do_not_fit_are_invalid_with_their_path(world, pair) -> None:
    async def main() -> None:
        async with pair(calculator) as (_, client):
            for arguments, text in (
                ({"b": 1}, "missing required field `a`"),
                ({"a": "1"}, r"Expected `int`, got `str` - at `\$\.a`"),
                ({"a": 1, "b": None}, r"Expected `int`, got `None` - at `\$\.b`"),
                (7, "Expected `object`, got `int`"),
                (b"", "truncated"),
            ):
                with pytest.raises(InvalidArgument, match=f"request of 'Calculator.add' does not fit.*{text}"):
                    await client.call("Calculator.add", arguments, response=int)
            with pytest.raises(InvalidArgument, match=r"\$\.shift\[1\]"):
                await client.call("Calculator.scale", {"point": Point(1), "by": 1, "shift": [1, "2"]}, response=Point)
            assert await client.call("Calculator.add", {"a": 1, "unknown": [1]}, response=int) == 1
            for arguments, text in (
                (None, "missing required field `by`"),
                ({"label": "x"}, "missing required field `by`"),
                ({"by": 1, "label": 2}, r"\$\.label"),
            ):
                with pytest.raises(InvalidArgument, match=text) as caught:
                    await collected(client.call_streaming("Calculator.shifted", [1], arguments=arguments))
                assert isinstance(caught.value, StreamError.Application)

    world.run(main())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda calls: calls.add(),
        lambda calls: calls.add(1, 2, 3),
        lambda calls: calls.add(1, c=2),
        lambda calls: calls.add(1, a=2),
        lambda calls: calls.negate(),
        lambda calls: calls.negate(1, 2),
        lambda calls: calls.only_named(1),
        lambda calls: calls.version(1),
        lambda calls: calls.scale(Point(1)),
        lambda calls: calls.upto(),
        lambda calls: calls.upto(1, tme=2),
        lambda calls: calls.total(),
        lambda calls: calls.shifted(1),
        lambda calls: calls.add(1, idle_timeout=1.0),
    ],
)
def test_wrong_arguments_are_a_type_error_as_python_s_own(world, pair, idle, wrong: Any) -> None:
    def own(mistake: Any) -> str:
        with pytest.raises(TypeError) as caught:
            mistake()
        text = str(caught.value)
        assert text.startswith("Calculator.")
        return text.partition("() ")[2]

    async def main() -> None:
        async with pair(calculator) as (server, client):
            asked = own(lambda: wrong(client.service(Calculator)))
            told = own(lambda: wrong(Calculator()))
            if " positional argument" not in told or " missing " in told:  # else Python counts self
                assert asked == told
            await idle(server, client)

    world.run(main())


def test_options_of_a_proxy_hold_for_each_call(world, pair) -> None:
    @service
    class Facts:
        async def left(self) -> tuple[float | None, dict[str, str]]:
            call = current_call()
            return call.time_left(), {key: str(value) for key, value in call.metadata.items()}

        async def many(self, numbers: AsyncIterator[int], start: int = 0) -> AsyncIterator[dict[str, str]]:
            yield {key: str(value) for key, value in current_call().metadata.items()}
            await asyncio.Event().wait()

    async def main() -> None:
        async with pair(lambda server: server.register_service(Facts())) as (_, client):
            plain: Any = client.service(Facts)
            calls: Any = client.service(Facts, timeout=50.0, idle_timeout=0.1, metadata={"who": "me"})
            assert await plain.left() == (None, {})
            left, facts = await calls.left()
            assert 0 < left <= 50 and facts == {"who": "me"}
            left, facts = await calls.left(timeout=None, metadata={"it": "self"})
            assert (left, facts) == (None, {"it": "self"})
            stream = calls.many([1], 2)
            assert await anext(stream) == {"who": "me"}
            with pytest.raises(StreamError.Timeout, match=r"idle_timeout \(0.1 s\)"):
                await anext(stream)
            with pytest.raises(StreamError.Timeout, match=r"idle_timeout \(0.2 s\)"):
                await collected(calls.many([1], idle_timeout=0.2))

    world.run(main())


# Versions.


class V1:
    @service
    class Store:
        async def put(self, key: str, value: bytes) -> str:
            return f"{key}={value.decode()}"

        async def upload(self, chunks: AsyncIterator[bytes]) -> int:
            return sum([len(chunk) async for chunk in chunks])

        async def follow(self, keys: AsyncIterator[str], prefix: str) -> AsyncIterator[str]:
            async for key in keys:
                yield prefix + key


class V2:
    @service
    class Store:
        async def put(self, key: str, value: bytes, ttl: float = 1.5, *, tags: list[str] | None = None) -> str:
            return f"{key}={value.decode()} for {ttl} {tags}"

        async def upload(self, chunks: AsyncIterator[bytes], most: int = 100, note: str = "") -> int:
            return min(most, sum([len(chunk) async for chunk in chunks]))

        async def follow(self, keys: AsyncIterator[str], prefix: str, suffix: str = ".") -> AsyncIterator[str]:
            async for key in keys:
                yield prefix + key + suffix


def test_a_client_of_version_1_calls_a_server_of_version_2(world, pair) -> None:
    async def main() -> None:
        async with pair(lambda server: server.register_service(V2.Store())) as (_, client):
            calls: Any = client.service(V1.Store)
            assert await calls.put("k", b"v") == "k=v for 1.5 None"
            assert await calls.upload([b"ab", b"c"]) == 3
            assert await collected(calls.follow(["a", "b"], "x")) == ["xa.", "xb."]

    world.run(main())


def test_a_client_of_version_2_calls_a_server_of_version_1(world, pair) -> None:
    async def main() -> None:
        async with pair(lambda server: server.register_service(V1.Store())) as (_, client):
            calls: Any = client.service(V2.Store)
            assert await calls.put("k", b"v", 2.0, tags=["t"]) == "k=v"
            assert [await calls.upload([b"ab", b"c"]), await calls.upload([b"ab", b"c"], 1, note="x")] == [3, 3]
            assert await collected(calls.follow(["a", "b"], "x", suffix="!")) == ["xa", "xb"]

    world.run(main())


def test_a_method_of_bytes_refuses_arguments_that_it_would_lose(world, pair) -> None:
    async def upload(chunks: AsyncIterator[bytes]) -> bytes:
        return b"".join([chunk async for chunk in chunks])

    def register(server: RpcServer) -> None:
        server.register_streaming("Store.upload", upload, shape="client_streaming")

    async def main() -> None:
        async with pair(register) as (_, client):
            assert await client.call_client_streaming("Store.upload", [b"a", b"b"]) == b"ab"
            with pytest.raises(Unimplemented, match="takes no arguments beside its stream"):
                await client.call_client_streaming("Store.upload", [b"a"], arguments={"most": 1})

    world.run(main())


# What cannot work.


async def option(metadata: int) -> int:
    return 1


async def two_streams(first: AsyncIterator[int], second: AsyncIterator[int]) -> int:
    return 1


async def stream_with_default(items: AsyncIterator[int] = None) -> int:  # type: ignore[assignment]  # noqa: RUF013
    return 1


async def any_number(*numbers: int) -> int:
    return 1


async def any_names(number: int, **others: int) -> int:
    return 1


async def by_position(first: int, second: int, /) -> int:
    return 1


async def default_by_position(first: int = 1, /) -> int:
    return 1


async def not_told(first: int, second) -> int:
    return 1


async def no_payload(first: int, second: complex) -> int:
    return 1


async def no_answer(first: int, second: int):
    return 1


async def unknown_name(first: int, second: "Nowhere") -> int:  # type: ignore[name-defined]  # noqa: F821
    return 1


async def undeclared_stream(first: int, second: int) -> int:
    yield 1  # type: ignore[misc]


def only_positions(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


async def named(first: int, *, second: int) -> int:
    return first - second


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (option, "parameter 'metadata' is named as an option of calls"),
        (two_streams, "takes 2 streams"),
        (stream_with_default, "the stream 'items' cannot have a default"),
        (any_number, r"any number of arguments \(\*numbers: int\)"),
        (any_names, r"any number of arguments \(\*\*others: int\)"),
        (by_position, "'first' is positional only"),
        (default_by_position, "'first' is positional only"),
        (not_told, "parameter 'second' needs an annotation"),
        (no_payload, "parameter 'second' of 'name': complex cannot be a payload"),
        (no_answer, "return value needs an annotation"),
        (unknown_name, "'Nowhere' is not defined"),
        (undeclared_stream, "annotate it as AsyncIterator"),
        (only_positions(named), "does not take what it wraps takes"),
    ],
)
def test_parameters_that_cannot_work_are_refused(handler: Any, text: str) -> None:
    server = RpcServer("127.0.0.1:0")
    for register in (lambda: server.register_typed("name", handler), lambda: server.method("name")(handler)):
        with pytest.raises(TypeError, match=text) as caught:
            register()
        assert "'name'" in str(caught.value)
    assert not server._handlers.methods


@pytest.mark.parametrize("name", OPTIONS)
def test_no_parameter_is_named_as_an_option(name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"async def handler(first: int, {name}: int = 1) -> int: return 1", scope)
    with pytest.raises(TypeError, match=f"'{name}' is named as an option"):
        RpcServer("127.0.0.1:0").register_typed("name", scope["handler"])
    exec(f"class Named:\n    async def method(self, {name}: int) -> int: return 1", scope)
    with pytest.raises(TypeError, match=f"'{name}' is named as an option"):
        RpcServer("127.0.0.1:0").register_service(service(scope["Named"])())


def test_what_a_partial_gave_by_name_is_no_parameter(world, pair) -> None:
    async def lookup(database: complex, key: str, default: str = "none") -> str:
        return f"{database} {key} {default}"

    def register(server: RpcServer) -> None:
        server.register_typed("named", functools.partial(lookup, database=1j))
        server.register_typed("placed", functools.partial(lookup, 1j))
        server.register_typed("bare", functools.partial(lookup, 1j, default="bound"))
        server.register_typed("wrapped", only_positions(functools.partial(lookup, 1j)))

    async def main() -> None:
        async with pair(register) as (_, client):
            for name in ("named", "placed", "wrapped"):
                assert await client.call(name, {"key": "k", "database": 7}, response=str) == "1j k none"
                assert await client.call(name, {"key": "k", "default": "d"}, response=str) == "1j k d"
            assert await client.call("bare", "k", response=str) == "1j k bound"

    world.run(main())


def test_a_shape_that_contradicts_the_parameters_is_refused() -> None:
    server = RpcServer("127.0.0.1:0")
    with pytest.raises(TypeError, match="is unary by its annotations; it cannot be server_streaming"):
        server.register_typed("name", named, shape="server_streaming")
    server.register_typed("name", named, shape="unary")


# The wire.


def opened(frame: bytes) -> tuple[int, int, bytes]:
    """Flags, shape byte and first message of an OPEN."""
    _, kind, flags, _ = HEADER.unpack_from(frame)
    assert kind == OPEN
    shape, _, _, _, body = decode_open(frame[HEADER_BYTES:], 1000)
    return flags, shape, body


def test_a_call_without_arguments_is_the_same_bytes(world, pair, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    real = writer.open_call

    def kept(*arguments: Any) -> bytes:
        sent.append(real(*arguments))
        return sent[-1]

    monkeypatch.setattr(writer, "open_call", kept)

    async def main() -> None:
        async with pair(calculator) as (_, client):
            calls: Any = client.service(Calculator)
            await calls.total([1])
            await calls.total([1], 5)
            await collected(calls.shifted(1, [], label="x"))
        packed = msgspec.msgpack.encode
        assert sent[0] == real(1, 0, 1, b"Calculator.total", b"", 0, b"")
        assert opened(sent[1]) == (FLAG_ITEM | PACKED, 1 | ARGUMENTS, packed({"start": 5}))
        assert opened(sent[2]) == (FLAG_ITEM | PACKED, 3 | ARGUMENTS, packed({"by": 1, "label": "x"}))

    world.run(main())


@service
class Blobs:
    async def joined(self, items: AsyncIterator[str], first: str, last: str = "") -> str:
        return "|".join([first, *[item async for item in items], last])

    async def echoed(self, items: AsyncIterator[str], first: str) -> AsyncIterator[str]:
        yield first
        async for item in items:
            yield item


SMALL = RpcConfig(stream_window_bytes=2000, part_bytes=1024)


@pytest.mark.parametrize("size", [10, 1900, 1937, 5000, 200_000])
def test_arguments_of_any_size_come_before_the_items(world, pair, size: int) -> None:
    async def main() -> None:
        async with pair(lambda server: server.register_service(Blobs()), SMALL) as (_, client):
            calls: Any = client.service(Blobs)
            big = "x" * size
            assert await calls.joined(["a", "b"], big, last="z") == f"{big}|a|b|z"
            async with calls.echoed(None, big) as stream:
                await stream.send("sent at once")
                assert await anext(stream) == big
                await stream.send("later")
                await stream.end()
                assert await collected(stream) == ["sent at once", "later"]

    world.run(main())


def test_arguments_above_the_peer_s_limit_are_not_sent(world, pair, idle) -> None:
    async def main() -> None:
        config = RpcConfig(max_message_bytes=1000)
        async with pair(lambda server: server.register_service(Blobs()), config, RpcConfig()) as (server, client):
            calls: Any = client.service(Blobs)
            with pytest.raises(ResourceExhausted, match="max_message_bytes"):
                await calls.joined(["a"], "x" * 1000)
            with pytest.raises(ResourceExhausted, match="max_message_bytes"):
                await collected(calls.echoed(["a"], "x" * 1000))
            with pytest.raises(InvalidArgument, match="cannot be encoded"):
                calls.echoed([], 1j)
            await idle(server, client)
            assert await calls.joined([], "x") == "x|"

    world.run(main())


@pytest.mark.parametrize("size", [1, 200_000])
def test_interceptors_see_arguments_as_the_request(world, size: int) -> None:
    async def main() -> None:
        seen: list[tuple[str, str, Any]] = []

        async def see(call: Any, proceed: Any) -> Any:
            seen.append((call.side, call.method, call.request))
            return await proceed()

        server = RpcServer("127.0.0.1:0", config=SMALL, interceptors=[see])
        server.register_service(Blobs())
        calculator(server)
        async with server, RpcClient.connect(server.address, config=SMALL, interceptors=[see]) as client:
            calls: Any = client.service(Blobs)
            big = "x" * size
            assert await calls.joined(["a", "b"], big) == f"{big}|a|b|"
            async with calls.echoed(None, big) as stream:
                await stream.send("sent at once")
                await stream.end()
                assert await collected(stream) == [big, "sent at once"]
            assert await client.service(Calculator).add(1, b=2) == 3
            reply = await client.call_with_metadata("Calculator.total", items=[1], arguments={"start": 2}, response=int)
            assert reply.value == 3
            with pytest.raises(TypeError, match="arguments go beside items"):
                await client.call_with_metadata("Calculator.add", arguments={"a": 2})
        requests = [
            ("Blobs.joined", {"first": big}),
            ("Blobs.echoed", {"first": big}),
            ("Calculator.add", {"a": 1, "b": 2}),
            ("Calculator.total", {"start": 2}),
        ]
        assert seen == [(side, *request) for request in requests for side in ("client", "server")]

    world.run(main())


# Any signature.

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**63), 2**63 - 1),
    "str": st.text(max_size=5),
    "bytes": st.binary(max_size=5),
    "bool": st.booleans(),
    "list[int]": st.lists(st.integers(0, 9), max_size=3),
    "dict[str, float]": st.dictionaries(st.text(max_size=2), st.floats(allow_nan=False), max_size=2),
    "int | None": st.none() | st.integers(0, 9),
    "Point": st.builds(Point, st.integers(0, 9), st.integers(0, 9)),
    "object": st.none() | st.integers(0, 9) | st.binary(max_size=2),
    "None": st.none(),
}
NAMES = ["a", "b", "value", "arguments", "call", "method", "_", "__x", "__init__", "p0", "items", "name", "cls", "é"]


@st.composite
def signatures(draw: st.DrawFn) -> tuple[str, list[tuple[str, str, bool, bool]], str]:
    """Source of a method, its parameters (name, type, has a default, by name alone), and its stream's name or none."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=5))
    stream = draw(st.sampled_from(["", *names]))
    star = draw(st.integers(0, len(names)))
    parts, described = ["self"], []
    had_default = False
    for position, name in enumerate(names):
        named = position >= star
        if position == star:
            parts.append("*")
            had_default = False
        if name == stream and (named or not had_default):
            parts.append(f"{name}: AsyncIterator[int]")
            described.append((name, "stream", False, named))
            continue
        stream = "" if name == stream else stream
        kind = draw(st.sampled_from(sorted(VALUES)))
        has_default = (had_default and not named) or draw(st.booleans())
        had_default = has_default
        parts.append(f"{name}: {kind}" + (" = DEFAULT" if has_default else ""))
        described.append((name, kind, has_default, named))
    got = "{" + ", ".join(f"{name!r}: {name}" for name, kind, _, _ in described if kind != "stream") + "}"
    streams_out = draw(st.booleans())
    answers = "AsyncIterator[object]" if streams_out else "object"
    lines = ["class Drawn:", f"    async def method({', '.join(parts)}) -> {answers}:", f"        SEEN.append({got})"]
    if stream:
        lines.append(f"        SEEN.append([one async for one in {stream}])")
    lines.append("        yield None" if streams_out else "        return None")
    return "\n".join(lines), described, stream


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_signature_takes_what_python_would(world, pair, data: st.DataObject) -> None:
    source, parameters, stream = data.draw(signatures())
    default, seen = object(), []
    scope: dict[str, Any] = {"AsyncIterator": AsyncIterator, "Point": Point, "DEFAULT": default, "SEEN": seen}
    exec(source, scope)
    drawn = service(scope["Drawn"])
    given_ones, by_position, may_place = {}, [], True
    for name, kind, has_default, named in parameters:
        may_place = may_place and not named and (not has_default or data.draw(st.booleans()))
        if has_default and not may_place and data.draw(st.booleans()):
            continue
        value = [1, 2] if kind == "stream" else data.draw(VALUES[kind])
        if may_place and data.draw(st.booleans()):
            by_position.append(value)
        else:
            may_place = False
            given_ones["_Drawn__x" if name == "__x" else name] = value

    async def main() -> None:
        async with pair(lambda server: server.register_service(drawn())) as (_, client):
            answer = client.service(drawn).method(*by_position, **given_ones)
            await (collected(answer) if not inspect.isawaitable(answer) else answer)
        bound = inspect.signature(drawn.method).bind(None, *by_position, **given_ones)
        bound.apply_defaults()
        expected = {
            name: bound.arguments["_Drawn__x" if name == "__x" else name]
            for name, kind, _, _ in parameters
            if kind != "stream"
        }
        assert seen == ([expected, [1, 2]] if stream else [expected])
        for name, value in expected.items():
            assert (seen[0][name] is default) == (value is default)
        seen.clear()

    world.run(main())


def test_a_proxy_keeps_no_client_alive(world, pair) -> None:
    """No cycle through the functions that are made."""

    async def main() -> None:
        async with pair(calculator) as (server, _):
            if world.name == "memory":
                return
            client = await RpcClient.connect(server.address)
            calls = client.service(Calculator)
            await client.close()
            gone = weakref.ref(client)
            gc.disable()
            try:
                del client, calls
                assert gone() is None
            finally:
                gc.enable()

    world.run(main())
