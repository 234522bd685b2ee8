"""docs/howto/shell.md: its server is served, its commands are run in bash, and their output is compared."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rpcnet import RpcConfig, RpcServer, cli
from rpcnet.cli import exits
from rpcnet.cli.command import app
from rpcnet.errors import RpcError, Status

ROOT = Path(cli.__file__).parents[2]
PAGE = (ROOT / "docs" / "howto" / "shell.md").read_text()
PROGRAM, *OTHERS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TALKS = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ADDRESSES, OURS = "127.0.0.1:700", f"127.0.78.{os.getpid() % 250 + 1}:700"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with the program of the page, which is running, and an environment in which `rpcnet` is found."""
    folder = tmp_path_factory.mktemp("shell")
    (folder / "notes.py").write_text(PROGRAM)
    command = folder / "rpcnet"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from rpcnet.cli import main; main()" "$@"\n')
    command.chmod(0o755)
    found = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    (line,) = [line for line in PAGE.splitlines() if line.startswith("rpcnet run ")]
    words = line.replace(ADDRESSES, OURS).split()
    words[0] = str(command)
    with subprocess.Popen(words, cwd=folder, env=found, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            assert "is ready" in server.stderr.readline()
            wait = f"until rpcnet health {OURS}0 >/dev/null 2>&1; do :; done"
            subprocess.run(["bash", "-c", wait], cwd=folder, env=found, timeout=60, check=True)
            yield folder, found
        finally:
            server.terminate()
            server.wait(60)


@pytest.mark.gate
@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_the_commands_of_the_page_say_what_it_shows(environment: Any) -> None:
    folder, found = environment
    assert len(TALKS) == 8
    for talk in TALKS:
        for part in re.split(r"^\$ ", talk, flags=re.MULTILINE)[1:]:
            command, shown = part.split("\n", 1)
            done = subprocess.run(
                ["bash", "-c", f"{command.replace(ADDRESSES, OURS)}"],
                cwd=folder,
                env=found,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.stdout.rstrip("\n") == shown.replace(ADDRESSES, OURS).rstrip("\n"), command


def test_the_exit_codes_of_the_page_are_true() -> None:
    table = {int(code): name for code, name in re.findall(r"\| (\d+) \| ([A-Z_]+) ", PAGE)}
    assert table == {exits.exit_code(RpcError.of(status, "")): status.name for status in Status if status}
    first = {int(code) for code in re.findall(r"^\| (\d+) \| [^A-Z|]", PAGE, re.MULTILINE)} | {0, 130}
    assert first == {
        exits.OK,
        exits.FAILED,
        exits.USAGE_ERROR,
        exits.INTERRUPTED,
        exits.BROKEN_PIPE,
    }


def test_the_flags_of_the_page_are_those_of_call() -> None:
    there = {name for one in app["call"].assemble_argument_collection() for name in one.names}
    told = set(re.findall(r"`(-[a-z-]+)", PAGE)) | set(re.findall(r" (--[a-z-]+)", PAGE))
    assert {name for name in there if name.startswith("-")} - {"--verbose"} <= told


def test_the_python_of_the_page_runs() -> None:
    names: dict[str, Any] = {}
    for block in [PROGRAM, *OTHERS]:
        exec(compile(block, "shell.md", "exec"), names)
    server = RpcServer("127.0.0.1:0")
    server.register_service(names["Notes"]())
    names["disk_is_full"](server)
    assert names["OPEN"] == RpcConfig(reflection=True)
