"""The command line itself: help, unknown words, and the script that is installed."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rpcnet import cli

COMMANDS = ["list", "call", "health", "members", "tags", "leave", "keys", "completion"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["walk"], "unknown command 'walk'; allowed: run, list, call, health, members, tags, leave, keys, completion"),
        (["cal"], "did you mean 'call'?"),
        (["list"], "ADDRESS"),
        (["call", "127.0.0.1:1"], "METHOD"),
        (["call", "127.0.0.1:1", "x", "--tiemout", "3s"], "--tiemout"),
        (["call", "127.0.0.1:1", "x", "--timeout"], "--timeout"),
        (["health", "a", "b", "c"], "c"),
        (["completion", "csh"], "csh"),
    ],
)
def test_a_usage_mistake_is_one_line(run: Any, words: list[str], says: str) -> None:
    code, out, err = run(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("rpcnet: ") and says in err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_lists_its_flags(run: Any, command: str) -> None:
    code, out, err = run(command, "--help")
    assert (code, err) == (0, "")
    assert f"rpcnet {command}" in out
    assert command == "completion" or {"--tls-ca", "--metadata", "--timeout", "--insecure"} <= set(
        out.replace("|", " ").split()
    )


def test_help_names_every_command(run: Any) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for command in ["run", *COMMANDS]:
        assert f"rpcnet {command} " in out


@pytest.mark.parametrize("words", [["--help"], ["call", "--help"], ["completion", "bash"]])
def test_text_that_nobody_reads_changes_no_exit_code(start: Any, words: list[str]) -> None:
    with start(*words) as command:
        command.stdout.close()
        assert command.stderr.read() == b""
        assert command.wait(timeout=60) == 0


def test_the_installed_script_calls_a_server(served: Any) -> None:
    script = Path(sys.executable).parent / "rpcnet"
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])}
    words = [str(script), "call", served.address, "Notes.upper"]
    done = subprocess.run(words, input=b'"a"\n"b"\n', capture_output=True, timeout=60, check=False, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, b'"A"\n"B"\n', b"")
