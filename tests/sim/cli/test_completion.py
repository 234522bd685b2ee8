"""Completion as the shells do it: commands, flags, what a flag may be, and files."""

import shutil
import subprocess

import pytest

from sim.cli import execute

COMPLETE = """
source "$1"
read -ra COMP_WORDS <<< "$2"
[[ "$2" == *[[:space:]] ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_rpcnet_sim
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_commands_flags_their_values_and_files(folder, capsys):
    assert execute(["completion", "bash"]) == 0
    (folder / "script").write_text(capsys.readouterr().out)

    def complete(line: str) -> set[str]:
        words = ["bash", "--norc", "-c", COMPLETE, "bash", "./script", line]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
        assert done.stderr == ""
        return set(done.stdout.split())

    assert complete("rpcnet-sim che") == {"check", "check-determinism"}
    assert complete("rpcnet-sim run --inter") == {"--interleaving"}
    assert complete("rpcnet-sim run --interleaving p") == {"pct", "pos"}
    for command in ("run", "check", "sweep", "check-determinism"):
        assert complete(f"rpcnet-sim {command} fic") == {"fickle.toml"}


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_theirs(shell, capsys):
    assert execute(["completion", shell]) == 0
    assert "rpcnet-sim" in capsys.readouterr().out.splitlines()[0]
