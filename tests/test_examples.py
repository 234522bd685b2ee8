"""The cluster example: how much shorter its short form is, both forms hold, the commands of its README work.

The calls of the plan that the example grew from, row by row: tests/test_plan.py.
"""

import ast
import asyncio
import io
import re
import shlex
import signal
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import sim
from examples.cluster.services import Director, Worker
from rpcnet.codegen import generate

ROOT = Path(__file__).parent.parent
SHORT = ROOT / "examples" / "cluster"
LONG = SHORT / "long_form"
LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def lines_of_code(path: Path) -> int:
    """Lines that hold code: no comments, no docstrings, no blank lines."""
    source = path.read_text()
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in LAYOUT:
            code.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            code.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(code)


def program(folder: Path) -> int:
    """What is written by hand: what `rpcnet-gen` writes stands in a folder of its own."""
    return sum(lines_of_code(path) for path in folder.glob("*.py"))


def docs(name: str) -> str:
    """A page as one line, so that a sentence is found wherever it is broken."""
    return " ".join((ROOT / "docs" / name).read_text().split())


def test_both_forms_have_the_lines_that_the_docs_say() -> None:
    short, long = program(SHORT), program(LONG)
    print(f"{long} lines by hand, {short} with the library: {long - short} less. The plan's target: 150 less.")
    assert long > short
    assert f"The long form has {long} lines of code, the short one {short}: {long - short} less" in docs("migration.md")
    assert f"target: 150 lines; it is {long - short}, from {long} to {short}" in docs("plan.md")


def test_the_long_form_takes_nothing_from_the_short_one() -> None:
    for path in LONG.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not any(name.name.startswith("examples") for name in node.names), path
            elif isinstance(node, ast.ImportFrom):
                assert node.level <= 1, path
                assert not (node.module or "").startswith("examples"), path


def test_the_short_form_wraps_no_wait_by_hand() -> None:
    wrapped = r"asyncio\.timeout|wait_for\(|TimeoutError"
    assert re.search(wrapped, (LONG / "client.py").read_text())
    for path in SHORT.glob("*.py"):
        assert not re.search(wrapped, path.read_text()), path


def lines_of(path: Path, name: str) -> int:
    """Lines of one class or function of a file that hold code."""
    source = path.read_text()
    (found,) = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    ]
    return sum(1 for line in source.splitlines()[found.lineno - 1 : found.end_lineno] if line.strip(" #"))


def test_a_two_way_stream_by_hand_takes_20_lines_more() -> None:
    """One streaming call and what feeds it, in either form."""
    long = sum(lines_of(LONG / "client.py", name) for name in ("Prompts", "converse"))
    short = sum(lines_of(SHORT / "client.py", name) for name in ("talk", "converse"))
    assert long - short >= 20
    assert not re.search(r"Queue|Semaphore|\.cancel\(|\.abort\(", (SHORT / "client.py").read_text())


def test_a_handler_by_hand_takes_the_lines_that_the_docs_say() -> None:
    handlers = (SHORT / "generated" / "services.py").read_text().count("register_typed")
    messages = lines_of_code(LONG / "messages.py") - lines_of_code(SHORT / "messages.py")
    bodies = sum(
        lines_of(LONG / f"{file}.py", name) - lines_of(SHORT / "services.py", name)
        for file, name in (("director", "get_worker"), ("worker", "generate"))
    )
    less = (messages + bodies) // handlers
    print(f"{less} lines less a handler. The plan said about 15.")
    assert f"in the example {less} a handler" in docs("plan.md")


def test_the_short_form_encodes_nothing_by_hand() -> None:
    for path in SHORT.glob("*.py"):
        assert not re.search(
            r"json|msgpack|msgspec|pickle|encode|decode|payload", path.read_text().partition('"""\n')[2]
        ), path


def test_the_generated_code_is_what_the_classes_say() -> None:
    assert generate([Director, Worker]) == (SHORT / "generated" / "services.py").read_text()


def test_the_example_registers_and_tags_itself_in_one_call_each() -> None:
    used = {
        path.name: re.findall(r"cluster\.(register_self|update_tags?|registry)\b|(NodeStatus)\(", path.read_text())
        for path in SHORT.glob("*.py")
    }
    told = {name: ["".join(names) for names in found] for name, found in used.items() if found}
    assert told == {"client.py": ["register_self"], "director.py": ["register_self"], "worker.py": ["update_tags"]}


def test_the_example_calls_and_registers_by_generated_code_but_for_one_stream() -> None:
    """The stream of tokens is called by the name that the plan gives such a call."""
    assert "DirectorServer(Director(workers), server).register_all()" in (SHORT / "director.py").read_text()
    assert "WorkerServer(Worker(seconds_per_token), server).register_all()" in (SHORT / "worker.py").read_text()
    by_hand = {
        path.name: found
        for path in SHORT.glob("*.py")
        if (found := re.findall(r"\.(register_typed|register_service|method|call\w*)\(", path.read_text()))
    }
    assert by_hand == {"client.py": ["call_streaming_with_timeout"]}


def excerpts() -> Iterator[tuple[Path, str]]:
    """Each Python block of docs/migration.md, and the file that the text before it names."""
    text = (ROOT / "docs" / "migration.md").read_text()
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        named = re.findall(r"`(examples/\S+\.py)`", text[: block.start()])
        yield ROOT / named[-1], block[1]


def flat(code: str) -> str:
    return "\n".join(line.strip() for line in code.splitlines())


def test_the_excerpts_of_the_migration_guide_stand_in_the_files_that_it_names() -> None:
    found = list(excerpts())
    assert len(found) >= 10
    for path, code in found:
        assert flat(code).strip() in flat(path.read_text()), f"{path} holds no\n{code}"


@pytest.mark.gate
def test_the_long_form_holds_in_the_same_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / "scenarios" / "worker_death.toml").read_text()
    assert text.count("examples.cluster.") == 3
    path = tmp_path / "worker_death_long_form.toml"
    path.write_text(text.replace("examples.cluster.", "examples.cluster.long_form."))
    run = sim.Scenario.load(path).run()
    assert run.verdict == "holds", [(e.name, e.verdict, e.saw) for e in run.expectations]


BY_HAND = (SHORT / "README.md").read_text().partition("## As a scenario")[0]


def commands(what: str) -> list[list[str]]:
    """`rpcnet run` or `rpcnet call` in the example's README, up to the scenario."""
    lines = [line.removesuffix("&").strip() for line in BY_HAND.splitlines()]
    lines = [line for line in lines if line.startswith(f".venv/bin/rpcnet {what}")]
    return [[str(Path(sys.executable).with_name("rpcnet")), *shlex.split(line)[1:]] for line in lines]


async def printed(command: list[str]) -> str:
    """What a command prints that ends well."""
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


async def said(process: asyncio.subprocess.Process, text: str) -> str:
    """Read what it says until `text` comes; everything that was said."""
    assert process.stderr is not None
    heard = ""
    async with asyncio.timeout(30):
        while text not in heard:
            line = (await process.stderr.readline()).decode()
            assert line, f"it ended before it said {text!r}:\n{heard}"
            heard += line
    return heard


@pytest.mark.gate
def test_the_commands_of_the_readme_survive_kill_9_of_a_worker() -> None:
    director, first, second, client = commands("run")
    (answers,) = re.findall(r"^```text\n(.*?)^```$", BY_HAND, re.MULTILINE | re.DOTALL)

    async def play() -> None:
        running: list[asyncio.subprocess.Process] = []
        try:
            for command in (director, first, second, [*client, "--tokens", "60"]):
                process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.PIPE)
                running.append(process)
                await said(process, "is ready")
                if command in (first, second):  # The director has to know both, or one of them gets all streams.
                    await said(running[0], command[command.index("--name") + 1])
            boss, one, two, reader = running
            await asyncio.sleep(2)  # Streams must be open; nothing that they do is said aloud.
            two.kill()
            assert "worker-2" in await said(reader, "goes on elsewhere")
            rest = await said(reader, "stream 3 is complete") if reader.returncode is None else ""
            async with asyncio.timeout(30):
                assert reader.stderr is not None
                rest += (await reader.stderr.read()).decode()
                assert await reader.wait() == 0, rest
            await said(boss, "MemberFailed")
            assert "".join([await printed(command) for command in commands("call")]) == answers
            for process in (one, boss):
                process.send_signal(signal.SIGTERM)
            for process in (one, boss):
                async with asyncio.timeout(15):
                    await process.communicate()
                assert process.returncode == 0
        finally:
            for process in running:
                if process.returncode is None:
                    process.kill()
                await process.communicate()

    asyncio.run(play())
