"""Each command tells the version of the distribution, however it is called."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.mark.parametrize("module", ["rpcnet", "rpcnet.codegen", "sim", "sim.cli"])
def test_a_command_tells_its_version(module: str) -> None:
    words = [sys.executable, "-m", module, "--version"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{VERSION}\n", "")


@pytest.mark.parametrize("module", ["rpcnet", "rpcnet.codegen", "sim", "sim.cli"])
def test_a_module_is_called_like_its_command(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert re.search(r"usage: (rpcnet|rpcnet-gen|rpcnet-sim)\b", done.stdout, re.IGNORECASE)
