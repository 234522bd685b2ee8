"""What `rpcnet-gen` writes: it runs in both worlds, passes type checkers, is laid out, and is the same each time."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable
from keyword import iskeyword
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rpcnet import DeadlineExceeded, RpcConfig, RpcServer, service
from rpcnet.codegen import CodegenError, generate
from tests.rpcnet.codegen import sample, uses, wrong_uses
from tests.rpcnet.codegen.sample_rpc import SampleClient, SampleServer, TinyClient, TinyServer

ROOT = Path(__file__).parents[3]
WRITTEN = Path(__file__).with_name("sample_rpc.py")
CLASSES = [sample.Sample, sample.Tiny]


def test_the_written_client_and_the_proxy_do_what_the_class_says(world, pair) -> None:
    async def main() -> None:
        async with pair(uses.register) as (_, client):
            await uses.by_client(client)
            await uses.by_proxy(client)

    world.run(main())


def test_a_written_client_connects_and_closes(world) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0")
        uses.register(server)
        TinyServer(sample.Tiny(), server).register_all()
        async with server:
            await uses.connected(server.address)
            async with TinyClient.connect(server.address) as tiny:
                assert await tiny.ping(timeout=20.0) == "pong"
            assert tiny.rpc_client.stats.connections == 0

    world.run(main())


class Silent(sample.Sample):
    """Its methods of the four shapes give nothing."""

    async def add(self, a: int, b: int = 0) -> int:
        return await asyncio.get_running_loop().create_future()

    async def total(self, numbers: AsyncIterator[int], start: int = 0) -> int:
        return await asyncio.get_running_loop().create_future()

    async def upto(self, stop: int, start: int = 0) -> AsyncIterator[int]:
        yield await asyncio.get_running_loop().create_future()

    async def shifted(self, by: int, numbers: AsyncIterator[int], *, label: str = "") -> AsyncIterator[str]:
        yield await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("named", [True, False], ids=["named", "default"])
@pytest.mark.parametrize("method", ["add", "total", "upto", "shifted"])
def test_calls_of_a_written_client_know_timeouts(world, pair, idle, method: str, named: bool) -> None:
    calls = {
        "add": lambda client, **options: client.add(1, **options),
        "total": lambda client, **options: client.total([1], 2, **options),
        "upto": lambda client, **options: client.upto(1, **options).receive(),
        "shifted": lambda client, **options: client.shifted(1, [1], **options).receive(),
    }

    async def main() -> None:
        config = RpcConfig(default_timeout=None if named else 0.1)
        register = lambda server: SampleServer(Silent(), server).register_all()  # noqa: E731
        async with pair(register, client_config=config) as (server, client):
            option = {"timeout" if method == "add" else "idle_timeout": 0.1} if named else {}
            with pytest.raises(DeadlineExceeded):
                await calls[method](SampleClient(client), **option)
            await idle(server, client)
            with pytest.raises(DeadlineExceeded):
                await calls[method](SampleClient(client), timeout=0.1)
            await idle(server, client)

    world.run(main())


def test_register_all_registers_what_register_service_does() -> None:
    written, whole = RpcServer("127.0.0.1:0"), RpcServer("127.0.0.1:0")
    SampleServer(sample.Sample(), written).register_all()
    whole.register_service(sample.Sample())
    shapes = [{name: method.shape for name, method in one._handlers.methods.items()} for one in (written, whole)]
    assert shapes[0] == shapes[1]
    assert len(shapes[0]) == len([name for name in vars(SampleClient) if not name.startswith("_")])


@pytest.mark.gate
def test_the_same_classes_give_the_same_bytes() -> None:
    """Also in another process, where hashes of text are others."""
    assert generate(CLASSES) == generate(CLASSES) == WRITTEN.read_text()
    script = """
import sys
from rpcnet.codegen import generate
from tests.rpcnet.codegen import sample
sys.stdout.write(generate([sample.Sample, sample.Tiny]))
"""
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout == WRITTEN.read_text()


def wrong_lines() -> set[int]:
    lines = Path(wrong_uses.__file__).read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}


@pytest.mark.gate
def test_mypy_strict_finds_the_wrong_uses_and_nothing_else() -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "-p", "tests.rpcnet.codegen"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    ours = [line for line in errors if "/test_" not in line]
    assert {Path(line.partition(":")[0]).name for line in ours} == {"wrong_uses.py"}, done.stdout + done.stderr
    assert {int(line.split(":")[1]) for line in ours} == wrong_lines(), done.stdout


@pytest.mark.gate
def test_pyright_strict_finds_the_wrong_uses_and_nothing_else(tmp_path: Path) -> None:
    folder = Path(__file__).parent
    config = {
        "include": [os.path.relpath(folder / name, tmp_path) for name in ("sample_rpc.py", "uses.py", "wrong_uses.py")],
        "extraPaths": [str(ROOT)],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(config))
    pyright = Path(sys.executable).with_name("pyright")
    command = [str(pyright), "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] == 3
    found = [(Path(one["file"]).name, one["range"]["start"]["line"] + 1) for one in report["generalDiagnostics"]]
    assert set(found) == {("wrong_uses.py", line) for line in wrong_lines()}, done.stdout


def formatted(text: str, columns: int) -> str:
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", str(columns), "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("columns", [88, 100, 120])
def test_a_formatter_leaves_what_is_written_as_it_is(columns: int) -> None:
    assert formatted(generate(CLASSES), columns) == generate(CLASSES)


KINDS = ["int", "str", "None", "int | None", "bytes | None", "list[int]", "dict[str, list[tuple[int, float, str]]]"]
KINDS += [f"tuple[{', '.join(['dict[str, int]'] * 9)}]", f"list[dict[str, tuple[{', '.join(['float'] * 14)}]]] | None"]
IDENTIFIERS = st.from_regex(r"[a-z][a-z_]{0,30}", fullmatch=True).filter(
    lambda name: name not in ("self", "connect", "rpc_client") and name.isidentifier() and not name.endswith("_timeout")
)


@st.composite
def service_sources(draw: st.DrawFn) -> str:
    """A service with drawn methods, as source."""
    names = st.lists(IDENTIFIERS.filter(lambda name: not iskeyword(name)), unique=True, max_size=6)
    lines = ["@service", "class Drawn:"]
    for name in draw(names.filter(bool)):
        taken = [one for one in draw(names) if one not in ("timeout", "metadata", "response", "wait_for_ready")]
        parts = ["self"]
        if draw(st.booleans()) and taken:
            parts.append(f"{taken.pop(0)}: AsyncIterator[{draw(st.sampled_from(KINDS))}]")
        if draw(st.booleans()) and taken:
            parts.append(f"{taken.pop(0)}: {draw(st.sampled_from(KINDS))}")
        if taken:
            parts += [
                *(["*"] if draw(st.booleans()) else []),
                *(f"{one}: {draw(st.sampled_from(KINDS))} = 0" for one in taken),
            ]
        answer = draw(st.sampled_from(KINDS))
        answer = f"AsyncIterator[{answer}]" if draw(st.booleans()) else answer
        lines.append(f"    def {name}({', '.join(parts)}) -> {'' if 'Async' in answer else 'Awaitable'}"
                     f"{answer if 'Async' in answer else f'[{answer}]'}: ...")  # fmt: skip
    return "\n".join(lines)


# Several at a time: starting the formatter takes longer than formatting.
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(service_sources(), min_size=4, max_size=12))
def test_any_service_is_written_as_a_formatter_would(tmp_path: Path, sources: list[str]) -> None:
    for old in tmp_path.rglob("*.py"):
        old.unlink()
    for number, source in enumerate(sources):
        written = generate([loaded(source)])
        compile(written, "drawn", "exec")
        # A name of its own may be longer than the line.
        columns = 88 if max(map(len, written.splitlines())) <= 88 else 120
        (tmp_path / str(columns)).mkdir(exist_ok=True)
        (tmp_path / str(columns) / f"drawn_{number}.py").write_text(written)
    for columns in {path.name for path in tmp_path.iterdir()}:
        command = [sys.executable, "-m", "ruff", "format", "--isolated", "--diff", "--line-length", columns]
        for width in {columns, "120"}:
            done = subprocess.run(
                [*command[:-1], width, str(tmp_path / columns)], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout


def loaded(source: str) -> type:
    scope: dict[str, Any] = {"AsyncIterator": AsyncIterator, "Awaitable": Awaitable, "service": service}
    exec("from __future__ import annotations\n" + source, scope)
    drawn = scope["Drawn"]
    globals()["Drawn"] = drawn
    drawn.__module__ = __name__
    for member in vars(drawn).values():
        if hasattr(member, "__globals__"):
            member.__module__ = __name__
    return drawn  # type: ignore[no-any-return]


@service
class Connects:
    async def connect(self, name: str) -> str:
        return name


@service
class Misfit:
    async def method(self, first: int, timeout: float) -> int:
        return first


class Unmarked:
    async def method(self, first: int) -> int:
        return first


def test_classes_that_cannot_be_written_are_refused() -> None:
    @service
    class Local:
        async def method(self, first: int) -> int:
            return first

    for cls, text in (
        (Connects, "Connects.connect has a name that every client has"),
        (Misfit, "'timeout' is named as an option of calls"),
        (Unmarked, "mark it with @service"),
        (Local, "Local of .*cannot be imported from there"),
    ):
        with pytest.raises(CodegenError, match=text):
            generate([cls])
    with pytest.raises(CodegenError, match="the same name"):
        generate([sample.Tiny, sample.Tiny])


def test_a_summary_of_a_docstring_is_written_with_its_method() -> None:
    text = WRITTEN.read_text()
    assert '"""Add two numbers."""' in text and "This paragraph" not in text
    found = re.search(r'"""Turn 1(.*?)"""', text, re.DOTALL)
    assert found is not None and r"with a \\ in it" in found[1]
    assert SampleClient.negate.__doc__ is not None and r"with a \ in it" in " ".join(
        SampleClient.negate.__doc__.split()
    )
