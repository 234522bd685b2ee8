"""Without the extras: each way in says in a line what to install. Packages are hidden from a process of its own."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sim.extras import EXTRA_OF

ROOT = Path(__file__).parents[2]
HIDE = """
import sys

class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

hidden = set(sys.argv.pop(1).split(","))
sys.meta_path.insert(0, Nowhere())
"""


def without(*hidden: str, code: str) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-c", HIDE + code, ",".join(hidden)]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)


def command(*words: str) -> str:
    return f"from sim.cli import execute\nsys.exit(execute({list(words)!r}))"


def test_the_packages_are_those_of_the_distribution() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        re.split(r"[>=<\[]", package)[0]: extra
        for extra in ("sim", "notebook", "pandas")
        for package in extras[extra]
        if not package.startswith("rpcnet")
    }
    assert named == {package: extra for package, extra in EXTRA_OF.items() if package not in ("numpy", "IPython")}


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("msgpack", ("run", "scenarios/abort_on_drop.toml")),
        ("simpy", ("run", "scenarios/abort_on_drop.toml")),
        ("msgpack", ("check", "scenarios/abort_on_drop.toml")),
        ("msgpack", ("check-determinism", "scenarios/abort_on_drop.toml")),
        ("msgpack", ("sweep", "scenarios/abort_on_drop.toml")),
        ("msgpack", ("list",)),
        ("msgpack", ("schema",)),
        ("msgpack", ("report", "nothing")),
        ("msgpack", ("diff", "one", "other")),
        ("matplotlib", ("run", "scenarios/abort_on_drop.toml", "--report", "{page}")),
        ("jinja2", ("run", "scenarios/abort_on_drop.toml", "--report", "{page}")),
        ("numpy", ("sweep", "scenarios/abort_on_drop.toml", "--out", "{page}/results.jsonl")),
    ],
)
def test_a_command_says_in_one_line_what_to_install(package: str, words: tuple[str, ...], tmp_path: Path) -> None:
    done = without(package, code=command(*(word.format(page=tmp_path) for word in words)))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"rpcnet-sim: {package} is not installed: pip install 'rpcnet[sim]'\n"


@pytest.mark.parametrize("flag", ["--version", "--help"])
def test_what_needs_no_package_is_told_without_it(flag: str) -> None:
    done = without(*(package for package, extra in EXTRA_OF.items() if extra == "sim"), code=command(flag))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_module_says_so_as_its_command_does() -> None:
    called = "import runpy\nsys.argv[1:] = ['run', 'scenarios/abort_on_drop.toml']"
    code = f"{called}\nrunpy.run_module('sim', run_name='__main__')"
    done = without("simpy", code=code)
    assert (done.returncode, done.stderr) == (2, "rpcnet-sim: simpy is not installed: pip install 'rpcnet[sim]'\n")


@pytest.mark.parametrize(
    "code",
    [
        "import sim; sim.Scenario",
        "from sim.scenario import Scenario",
        "from sim.trace import read",
    ],
)
def test_a_name_that_cannot_be_loaded_says_what_to_install(code: str) -> None:
    done = without("msgpack", code=code)
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: sim")
    assert done.stderr.endswith("cannot be loaded; msgpack is not installed: pip install 'rpcnet[sim]'\n")


@pytest.mark.parametrize(
    ("package", "code", "extra"),
    [
        ("pandas", "from sim.study import Study\nStudy(plan=None, results=[]).to_pandas()", "pandas"),
        ("matplotlib", "from sim.notebook import Run\nRun.timeline(None)", "sim"),
    ],
)
def test_what_a_notebook_shows_says_what_to_install(package: str, code: str, extra: str) -> None:
    done = without(package, code=code)
    assert done.stderr.endswith(f"; {package} is not installed: pip install 'rpcnet[{extra}]'\n")


def test_a_marked_test_says_what_to_install(tmp_path: Path) -> None:
    """And pytest itself goes on: it may have other tests."""
    test = (
        "import pytest\n\n\n@pytest.mark.simulated\nasync def test_it():\n    pass\n\n\ndef test_other():\n    pass\n"
    )
    (tmp_path / "test_it.py").write_text(test)
    words = ["-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    done = without("msgpack", code=f"import pytest\nsys.exit(pytest.main({words!r}))")
    assert "msgpack is not installed: pip install 'rpcnet[sim]'" in done.stdout
    assert "1 passed, 1 error" in done.stdout and "Traceback" not in done.stdout + done.stderr


def test_another_module_that_is_missing_is_no_matter_of_extras() -> None:
    done = without("msgspec", code="import sim; sim.Scenario")
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'msgspec'\n")
