"""`rpcnet.reflection/list` and `/describe`: every kind of method as it is told, and where it is not told."""

import asyncio
import enum
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import pytest

from rpcnet import NotFound, PermissionDenied, RpcClient, RpcConfig, RpcServer, Unimplemented, service
from rpcnet.reflection import DESCRIBE, LIST, MethodDescription, ParameterDescription, TypeDescription, described
from rpcnet.service import LEFT_OUT, bytes_method, typed_method

TEXT = TypeDescription("str", {"type": "string"})
INT = TypeDescription("int", {"type": "integer"})


class Mood(enum.Enum):
    FINE = "fine"


@dataclass
class Note:
    key: str
    body: bytes = b""


@service
class Notes:
    async def get(self, key: str) -> Note | None:
        """The note of a key.

        Or none.
        """
        return None

    async def count(self) -> int:
        return 0

    async def find(self, word: str = "", *, least: int = 0) -> AsyncIterator[Note]:
        yield Note("")

    async def load(self, notes: AsyncIterator[Note], replace: bool = True) -> int:
        return 0

    async def talk(self, lines: AsyncIterator[str]) -> AsyncIterator[str]:
        async for line in lines:
            yield line


async def echo(payload: bytes) -> bytes:
    """Says it again."""
    return payload


async def flood(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for item in items:
        yield item


def register(server: RpcServer) -> None:
    server.register_service(Notes())
    server.register("echo", echo)
    server.register_streaming("flood", flood)


def test_a_list_has_each_method_with_its_signature(world: Any, pair: Any) -> None:
    async def main() -> None:
        async with pair(register) as (_, client):
            found = [one async for one in client.call_server_streaming(LIST, {}, response=MethodDescription)]
            assert [(one.name, one.shape, one.signature, one.doc) for one in found] == [
                ("Notes.count", "unary", "() -> int", ""),
                ("Notes.find", "server_streaming", "(word: str = '', *, least: int = 0) -> AsyncIterator[Note]", ""),
                ("Notes.get", "unary", "(key: str) -> Note | None", "The note of a key."),
                ("Notes.load", "client_streaming", "(notes: AsyncIterator[Note], replace: bool = True) -> int", ""),
                ("Notes.talk", "bidirectional", "(lines: AsyncIterator[str]) -> AsyncIterator[str]", ""),
                ("echo", "unary", "(payload: bytes) -> bytes", "Says it again."),
                ("flood", "bidirectional", "(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]", ""),
            ]
            stream = client.call_server_streaming(LIST, {"prefix": "Notes.c"}, response=MethodDescription)
            assert [one.name async for one in stream] == ["Notes.count"]

    world.run(main())


def test_builtin_methods_are_listed_by_their_prefix(world: Any, pair: Any) -> None:
    async def main() -> None:
        async with pair(register) as (_, client):
            stream = client.call_server_streaming(LIST, {"prefix": "rpcnet."}, response=MethodDescription)
            assert [f"{one.name}{one.signature}" async for one in stream] == [
                "rpcnet.health/check(service: str = '') -> ServiceHealth",
                "rpcnet.health/watch(service: str = '') -> AsyncIterator[ServiceHealth]",
                "rpcnet.reflection/describe(method: str) -> MethodDescription",
                "rpcnet.reflection/list(prefix: str = '') -> AsyncIterator[MethodDescription]",
            ]

    world.run(main())


def test_a_description_says_how_the_method_is_called(world: Any, pair: Any) -> None:
    async def main() -> None:
        async with pair(register) as (_, client):

            async def describe(name: str) -> MethodDescription:
                return await client.call(DESCRIBE, name, response=MethodDescription)

            get, find, load = [await describe(f"Notes.{name}") for name in ("get", "find", "load")]
            assert (get.request, get.takes_map, get.arguments) == (TEXT, False, [])
            assert (find.request, find.takes_map, find.arguments) == (
                None,
                True,
                [ParameterDescription("word", TEXT, True), ParameterDescription("least", INT, True)],
            )
            assert load.request is not None and load.request.text == "Note" and load.response == INT
            assert [one.name for one in load.arguments] == ["replace"] and not load.takes_map
            told = await describe("echo")
            assert (told.is_bytes, told.request, told.response) == (True, None, None)
            with pytest.raises(NotFound, match=r"no method 'Notes\.put'"):
                await describe("Notes.put")
            assert (await describe("rpcnet.health/check")).takes_map

    world.run(main())


@pytest.mark.parametrize(
    ("address", "reflection", "answers"),
    [
        ("127.0.0.1:0", None, True),
        ("127.0.0.1:0", False, False),
        ("0.0.0.0:0", None, False),
        ("0.0.0.0:0", True, True),
        ("unix:{}/s", None, True),
    ],
)
@pytest.mark.own_sockets
def test_only_this_machine_is_told_by_default(
    tmp_path: Any, address: str, reflection: bool | None, answers: bool
) -> None:
    async def main() -> None:
        server = RpcServer(address.format(tmp_path), config=RpcConfig(insecure=True, reflection=reflection))
        async with server:
            to = server.address.replace("0.0.0.0", "127.0.0.1")
            async with RpcClient.connect(to) as client:
                calls = [client.call(DESCRIBE, "nothing"), anext(client.call_server_streaming(LIST, {"prefix": "x"}))]
                for call in calls:
                    with pytest.raises((NotFound, StopAsyncIteration) if answers else PermissionDenied):
                        await call
                with pytest.raises(Unimplemented):
                    await client.call("rpcnet.reflection/other")
                assert await client.call("rpcnet.health/check", {})

    asyncio.run(main())


class Strange:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


async def odd(
    a: Annotated[list[int], "meta"],
    b: Literal["x", 1] | None = None,
    c: dict[int, tuple[str, ...]] = {},  # noqa: B006
    d: Mood = Mood.FINE,
    e: str = "y" * 100,
    f: object = Strange(),
) -> None: ...


def test_types_and_defaults_of_any_kind_are_told() -> None:
    told = described(typed_method("odd", odd, LEFT_OUT, LEFT_OUT, None, 64))
    assert told.signature == (
        "(a: list[int], b: Literal['x', 1] | None = None, c: dict[int, tuple[str, ...]] = …,"
        " d: Mood = Mood.FINE, e: str = …, f: object = …) -> None"
    )
    assert told.arguments[-1].type == TypeDescription("object", None)


def test_given_types_and_wrapped_handlers_are_told() -> None:
    async def handler(request, more=1):  # type: ignore[no-untyped-def]
        """Takes what comes."""

    told = described(typed_method("given", partial(handler, more=2), list[int], None, None, 64))
    assert (told.signature, told.doc) == ("(request: list[int]) -> None", "Takes what comes.")
    told = described(bytes_method("upload", handler, 1))
    assert told.signature == "(items: AsyncIterator[bytes]) -> bytes"
