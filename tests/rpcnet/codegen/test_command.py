"""The command `rpcnet-gen`: what it writes, what `--check` says, and its exit codes."""

import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from rpcnet.codegen import generate
from rpcnet.codegen.command import main, run
from tests.rpcnet.codegen import sample

ROOT = Path(__file__).parents[3]
TINY = "tests.rpcnet.codegen.sample:Tiny"


def test_it_writes_to_a_file_or_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tiny_rpc.py"
    assert run([TINY, "-o", str(path)]) == 0
    assert run([TINY]) == 0
    assert capsys.readouterr().out == path.read_text() == generate([sample.Tiny])
    assert run(["tests.rpcnet.codegen.sample:Sample", TINY, "--output", str(path)]) == 0
    assert path.read_text() == generate([sample.Sample, sample.Tiny])


def test_a_stale_or_missing_file_fails_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tiny rpc.py"
    again = f"rpcnet-gen {TINY} -o '{path}'"
    assert run([TINY, "-o", str(path), "--check"]) == 1
    assert capsys.readouterr().out == f"{path} does not exist; write it with: {again}\n"
    assert not path.exists()
    assert run([TINY, "-o", str(path)]) == run([TINY, "-o", str(path), "--check"]) == 0
    assert capsys.readouterr().out == ""
    path.write_text(path.read_text().replace("pong", "").replace("-> str", "-> int"))
    before = path.read_text()
    assert run([TINY, "-o", str(path), "--check"]) == 1
    said = capsys.readouterr().out
    assert "-    ) -> int:" in said and "+    ) -> str:" in said
    assert said.endswith(f"{path} is not up to date; write it anew with: {again}\n")
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ([], "name a class|requires an argument"),
        (["nonsense"], "names no service; write it as MODULE:Service"),
        (["tests.rpcnet.codegen.sample:Nothing"], "has no 'Nothing'; allowed: Sample, Tiny"),
        (["tests.rpcnet.codegen.sample:Tinny"], 'did you mean "Tiny"'),
        (["tests.rpcnet.codegen.nowhere:Tiny"], "there is no module"),
        (["tests.rpcnet.codegen.sample:Point"], "Point is not a service; mark it with @service"),
        (["tests.rpcnet.codegen.sample:T"], "T is no class"),
        ([TINY, "--check"], "--check needs the file"),
        ([TINY, "--chek"], "Unknown option"),
        ([TINY, "-o", "/dev/null/x.py"], "cannot be written"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    tokens: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tokens) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("rpcnet-gen: ") and said.err.count("\n") == 1
    assert re.search(text, said.err), said.err


def test_the_console_script_is_this_command() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["rpcnet-gen"].partition(":")
    assert getattr(import_module(module), name) is main


@pytest.mark.gate
def test_it_finds_classes_in_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from rpcnet import service\n\n\n@service\nclass Greeter:\n"
        "    async def greet(self, name: str) -> str:\n        return name\n"
    )
    command = [sys.executable, "-P", "-m", "rpcnet.codegen", "mine:Greeter"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "class GreeterClient(ServiceClient):" in done.stdout
    shown = subprocess.run([*command[:-1], "--help"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "MODULE:Service" in shown.stdout and "--check" in shown.stdout
