"""Completion as bash does it: commands, flags, and methods of a server that is running."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rpcnet import cli
from rpcnet.cli.command import COMMANDS

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")

COMPLETE = """
source "$1"
COMP_LINE="$2" COMP_POINT=${#2}
_rpcnet
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script, and an `rpcnet` that it finds."""
    folder = tmp_path_factory.mktemp("completion")
    command = folder / "rpcnet"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from rpcnet.cli import main; main()" "$@"\n')
    command.chmod(0o755)
    return folder


def complete(folder: Path, line: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    script = folder / "script"
    if not script.exists():
        assert cli.run(["completion", "bash"]) == 0
        script.write_text(capsys.readouterr().out)
    found = {
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(cli.__file__).parents[2]),
    }
    words = ["bash", "--norc", "-c", COMPLETE, "bash", str(script), line]
    done = subprocess.run(
        words, cwd=folder, env=os.environ | found, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_and_flags_are_completed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert complete(folder, "rpcnet ", capsys) == [*COMMANDS]
    assert complete(folder, "rpcnet ta", capsys) == ["tags"]
    assert complete(folder, "rpcnet members 127.0.0.1:1 --w", capsys) == ["--watch"]
    assert complete(folder, "rpcnet tags 127.0.0.1:1 --del", capsys) == ["--delete"]
    assert complete(folder, "rpcnet he", capsys) == ["health"]
    assert complete(folder, "rpcnet call 127.0.0.1:1 x --tls-", capsys) == ["--tls-ca", "--tls-cert", "--tls-key"]
    assert complete(folder, "rpcnet run --gr", capsys) == ["--grace"]
    assert complete(folder, "rpcnet run scr", capsys) == ["script"], "files, where nothing else is known"


def test_methods_of_a_running_server_are_completed(
    folder: Path, capsys: pytest.CaptureFixture[str], served: Any
) -> None:
    assert complete(folder, f"rpcnet call {served.address} Notes.t", capsys) == ["Notes.tick"]
    assert complete(folder, f"rpcnet list {served.address} ec", capsys) == ["echo"]
    assert complete(folder, "rpcnet call 127.0.0.1:1 Notes.t", capsys) == []
