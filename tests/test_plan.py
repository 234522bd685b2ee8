"""The plan that the project grew from: its calls do what it said, and docs/plan.md names a test for each line."""

import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

import rpcnet
from rpcnet import (
    BidirectionalStream,
    Cluster,
    InvalidArgument,
    NodeStatus,
    NotPermitted,
    RpcClient,
    RpcConfig,
    RpcError,
    RpcServer,
    StreamError,
)


class World:
    """What tests/conftest.py gives: one body, in virtual time or over sockets."""

    name: str
    run: Callable[[Awaitable[None]], None]


class Endless:
    """A server whose `chat` answers each item and then goes silent; it tells when a handler was cancelled."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.server = RpcServer("127.0.0.1:0")
        self.server.register("echo", self.echo)
        self.server.register("silent", self.silent)
        self.server.register_streaming("chat", self.chat)

    async def echo(self, payload: bytes) -> bytes:
        return payload

    async def silent(self, payload: bytes) -> bytes:
        await asyncio.Event().wait()
        return payload

    async def chat(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for item in items:
                yield item
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


async def one(item: bytes = b"x") -> AsyncIterator[bytes]:
    yield item
    await asyncio.Event().wait()


def test_the_default_timeout_bounds_calls_that_name_none(world: World) -> None:
    async def main() -> None:
        config = RpcConfig().with_default_timeout(0.2)
        assert config.default_timeout == 0.2
        endless = Endless()
        async with endless.server, RpcClient.connect(endless.server.address, config=config) as client:
            with pytest.raises(TimeoutError):
                await client.call("silent", b"")
            async with client.call_streaming("chat", one()) as stream:
                assert await anext(stream) == b"x"
                with pytest.raises(StreamError.Timeout):
                    await anext(stream)
            async with asyncio.timeout(5):
                await endless.cancelled.wait()

    world.run(main())


def test_call_streaming_with_timeout_ends_a_silent_stream_for_good(world: World) -> None:
    async def main() -> None:
        endless = Endless()
        async with endless.server, RpcClient.connect(endless.server.address) as client:
            stream = client.call_streaming_with_timeout("chat", one(), 0.2)
            assert await anext(stream) == b"x"
            with pytest.raises(StreamError.Timeout):
                await anext(stream)
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    world.run(main())


def test_a_stream_error_says_whether_time_the_connection_or_the_application_ended_it(world: World) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0")

        async def refuse(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            yield b"once"
            raise InvalidArgument("not that", details=b"why")

        async def silent(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            yield b"once"
            await asyncio.Event().wait()

        server.register_streaming("refuse", refuse)
        server.register_streaming("silent", silent)
        async with server, RpcClient.connect(server.address) as client:
            refused = client.call_streaming("refuse", one())
            assert await anext(refused) == b"once"
            with pytest.raises(StreamError.Application) as application:
                await anext(refused)
            error = application.value
            assert (error.code, error.message, error.payload) == (3, "not that", b"why")
            assert isinstance(error, InvalidArgument)

            late = client.call_streaming("silent", one(), idle_timeout=0.1)
            assert await anext(late) == b"once"
            with pytest.raises(StreamError.Timeout) as timeout:
                await anext(late)
            assert isinstance(timeout.value, TimeoutError)

            cut = client.call_streaming("silent", one())
            assert await anext(cut) == b"once"
            await server.stop(grace=0)
            with pytest.raises(StreamError.Transport) as transport:
                await anext(cut)
            assert isinstance(transport.value, ConnectionError)
            assert isinstance(transport.value.cause, RpcError)

    world.run(main())


@pytest.mark.parametrize("way", ["abort", "drop", "leave"])
def test_a_bidirectional_stream_that_is_let_go_cancels_the_handler(world: World, way: str) -> None:
    async def main() -> None:
        endless = Endless()
        async with endless.server, RpcClient.connect(endless.server.address) as client:
            both = BidirectionalStream[bytes](buffer=10)
            answers = client.call_streaming("chat", both)
            await both.sender.send(b"hello")
            assert await anext(answers) == b"hello"
            if way == "abort":
                both.abort()
            elif way == "leave":
                async with both:
                    pass
            del both
            async with asyncio.timeout(5):
                await endless.cancelled.wait()

    world.run(main())


def test_a_bidirectional_stream_whose_sender_is_closed_ends_in_order(world: World) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0")

        async def echo(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            async for item in items:
                yield item

        server.register_streaming("echo", echo)
        async with server, RpcClient.connect(server.address) as client, BidirectionalStream[bytes](buffer=3) as both:
            for item in (b"a", b"", b"c"):
                await both.sender.send(item)
            both.sender.close()
            assert [item async for item in client.call_streaming("echo", both.stream)] == [b"a", b"", b"c"]

    world.run(main())


def test_register_takes_bytes_and_gives_bytes(world: World) -> None:
    async def main() -> None:
        endless = Endless()
        async with endless.server, RpcClient.connect(endless.server.address) as client:
            assert await client.call("echo", b"\x00raw") == b"\x00raw"

    world.run(main())


def test_register_typed_takes_all_four_shapes_from_the_annotations(world: World) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0")

        async def double(number: int) -> int:
            return 2 * number

        async def count(number: int) -> AsyncIterator[int]:
            for n in range(number):
                yield n

        async def total(numbers: AsyncIterator[int]) -> int:
            return sum([number async for number in numbers])

        async def running(numbers: AsyncIterator[int]) -> AsyncIterator[int]:
            so_far = 0
            async for number in numbers:
                so_far += number
                yield so_far

        for method in (double, count, total, running):
            server.register_typed(method.__name__, method)
        async with server, RpcClient.connect(server.address) as client:
            assert await client.call("double", 21, response=int) == 42
            assert [n async for n in client.call_server_streaming("count", 3, response=int)] == [0, 1, 2]
            assert await client.call_client_streaming("total", [1, 2, 3], response=int) == 6
            assert [n async for n in client.call_streaming("running", [1, 2, 3], response=int)] == [1, 3, 6]
            with pytest.raises(InvalidArgument, match="int"):
                await client.call("double", {"number": "21"}, response=int)

    world.run(main())


def cluster() -> Cluster:
    return Cluster("alone", "127.0.0.1:0")


@pytest.mark.parametrize("tags", [{"role": "director"}, [("role", "director")]])
def test_register_self_takes_a_mapping_or_pairs(world: World, tags: dict[str, str] | list[tuple[str, str]]) -> None:
    async def main() -> None:
        async with cluster() as me:
            await me.register_self(tags)
            assert dict(me.me.tags) == {"role": "director"}
            with pytest.raises(ValueError, match="tag"):
                await me.register_self({"": "no key"})

    world.run(main())


def test_update_tags_is_one_batch_and_none_deletes(world: World) -> None:
    async def main() -> None:
        async with cluster() as me:
            await me.register_self({"role": "worker", "zone": "a"})
            before = me.me.version
            await me.update_tags({"label": "big", "gpu": "true", "zone": None})
            assert me.me.version == before + 1
            assert dict(me.me.tags) == {"role": "worker", "label": "big", "gpu": "true"}
            await me.update_tag("label", "small")
            assert me.me.tags["label"] == "small"

    world.run(main())


def test_the_registry_takes_a_status_of_oneself_and_of_nobody_else(world: World) -> None:
    async def main() -> None:
        async with cluster() as me:
            me.registry.insert(NodeStatus(node_id="alone", addr=me.address, tags={"role": "director"}))
            assert me.me.tags["role"] == "director"
            with pytest.raises(NotPermitted, match="only its own"):
                me.registry.insert(NodeStatus(node_id="other", tags={"role": "director"}))

    world.run(main())


FIRST_NAMES = {
    *("BidirectionalStream", "ClientStream", "RpcClient", "RpcConfig", "RpcServer", "current_call", "service"),
    *("RpcError", "StreamError", "StreamTimeout", "StreamTransportError", "StreamApplicationError", "Status"),
    *("Cluster", "ClusterConfig", "Member", "NodeStatus", "TagsChanged", "MemberJoined", "MemberFailed", "MemberLeft"),
}
"""What users have imported from the beginning; nothing of it may go."""


def test_nothing_that_users_import_is_gone() -> None:
    assert set(rpcnet.__all__) >= FIRST_NAMES
    assert all(hasattr(rpcnet, name) for name in rpcnet.__all__)


@pytest.mark.parametrize(
    "call",
    [
        RpcClient.call_streaming_with_timeout,
        RpcConfig,
        StreamError.Timeout,
        StreamError.Transport,
        StreamError.Application,
        BidirectionalStream,
        BidirectionalStream.abort,
        RpcServer.register,
        RpcServer.register_typed,
        RpcServer.register_streaming,
        Cluster.register_self,
        Cluster.update_tags,
    ],
    ids=lambda call: call.__qualname__,
)
def test_every_call_of_the_plan_has_a_docstring(call: object) -> None:
    assert len(inspect.getdoc(call) or "") > 20
    assert call.__doc__, "inherited from another class"


# The page: docs/plan.md.

ROOT = Path(__file__).parent.parent
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)(?:\[([^\]`]+)\])?`")
LINES = {
    "Task 1": {"Target API": 4, "Migration steps": 6, "Benefits": 4},
    "Task 2": {"Target API": 6, "Usage": 4, "Migration steps": 6, "Benefits": 4},
    "Task 3": {"Target output and method": 3, "Migration steps": 6, "Benefits": 4},
    "Task 4": {"Target API": 2, "Usage": 1, "Migration steps": 6, "Benefits": 4},
    "Task 5": {"Target API": 1, "Usage": 1, "Migration steps": 6, "Benefits": 4},
    "All tasks": {
        "Success criteria": 6,
        "Breaking changes": 2,
        "Documentation updates": 5,
        "Testing strategy": 9,
        "Questions and decisions": 3,
    },
}
"""How many lines each part of the plan has."""


def rows() -> list[tuple[str, str, str, str, str]]:
    """Task, part, line, proof and worlds of every row of the page."""
    found, task, part = [], "", ""
    for line in (ROOT / "docs" / "plan.md").read_text().splitlines():
        if line.startswith("## "):
            task, part = line[3:].partition(":")[0], ""
        elif line.startswith("### "):
            part = line[4:]
        elif line.startswith("| ") and not line.startswith("| plan |"):
            said, proof, worlds = (cell.strip() for cell in line.strip("|").split(" | "))
            found.append((task, part, said, proof, worlds))
    return found


def test_the_page_has_a_row_for_every_line_of_the_plan() -> None:
    counted: dict[str, dict[str, int]] = {}
    for task, part, said, _, _ in rows():
        assert said, (task, part)
        counted.setdefault(task, {}).setdefault(part, 0)
        counted[task][part] += 1
    assert counted == LINES


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[2][:40])
def test_every_row_names_its_proof(row: tuple[str, str, str, str, str]) -> None:
    task, part, said, proof, worlds = row
    tests = NAMED.findall(proof)
    if task != "All tasks":
        assert tests, f"{said}: no test"
    if not tests:
        commands = re.findall(r"`python (\S+\.py)", proof)
        assert commands, f"{said}: neither a test nor a command"
        assert all((ROOT / command).exists() for command in commands)
    assert worlds in ("both", "sim", "text", ""), worlds
    assert bool(tests) == bool(worlds), f"{said}: in which world does its test run?"
    if part in ("Target API", "Usage"):
        assert worlds == "both", f"{said}: an API is shown in both worlds"


@pytest.mark.gate
def test_every_test_that_the_page_names_is_collected() -> None:
    named = {(path, name, ids) for _, _, _, proof, _ in rows() for path, name, ids in NAMED.findall(proof)}
    assert len(named) > 40
    files = sorted({path for path, _, _ in named})
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:randomly", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    collected = set(done.stdout.splitlines())
    for path, name, ids in named:
        test = f"{path}::{name}"
        mine = {line for line in collected if line == test or line.startswith(f"{test}[")}
        assert mine if not ids else f"{test}[{ids}]" in mine, f"docs/plan.md names {test}[{ids}], which is no test"
    for _, _, said, proof, worlds in rows():
        if worlds == "both":
            tests = {f"{path}::{name}" for path, name, _ in NAMED.findall(proof)}
            seen = "\n".join(line for line in collected if line.partition("[")[0] in tests)
            for world, words in (("sim", "simulat"), ("sockets", "sockets")):
                assert re.search(rf"[\[-]{world}[\]-]|{words}", seen), f"{said}: not shown over {world}"
