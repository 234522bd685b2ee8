"""Other projects' own test suites, on asyncio's loop and with every loop made by `sim.new_event_loop()`.

python benchmarks/suites [NAME …] [--cache DIR] [--timeout SECONDS]

Each suite comes from the source distribution on PyPI, and runs twice in an environment of its own, which is kept in
the cache: once as it is, once with simulated loops. What passes on asyncio's own loop, with a loop that ran, is
compared: `same` passes on ours too; `refused` fails with a clear refusal (sim.NotSimulated, or another error of the
simulator that says what to do); `hangs` ran into the time limit, or ended in Deadlock or Livelock; `deviates` fails
otherwise. Counts go to tests/sim/compatibility/suites.json, which docs/compatibility.md is made from; which tests those
are, and what they said, to reports/suites/NAME.json. The first run fetches and installs: minutes. A suite takes one to
ten minutes.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
import venv
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TABLE = ROOT / "tests" / "sim" / "compatibility" / "suites.json"
DETAILS = ROOT / "reports" / "suites"
OF_THE_SIMULATOR = ("msgspec", "msgpack", "simpy", "networkx")
KINDS = ("same", "refused", "deviates", "hangs")


class Suite(NamedTuple):
    """How a project's tests are run: what they need beside the project, where they are, with which options."""

    needs: tuple[str, ...]
    tests: str = "tests"
    options: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    without: tuple[str, ...] = ()
    """Programs of the machine that are not to be found: processes that no simulated node can talk to."""


# Not here: the source distribution of pymodbus holds no tests and that of websockets none that run on a loop; grpclib's
# lacks what its tests are generated from, and aiocoap's the modules that its tests share.
SUITES = {
    "aioftp": Suite(
        ("pytest-asyncio", "pytest-mock", "trustme", "siosocks", "async_timeout"),
        options=("--import-mode=importlib", "-p", "no:anyio"),
    ),
    "aiohttp": Suite(
        (
            *("pytest-mock", "pytest-timeout", "pytest-cov", "pytest-xdist", "freezegun", "trustme", "re-assert"),
            *("proxy.py", "blockbuster", "isal", "zlib_ng", "pytest_codspeed", "setuptools-git", "brotli"),
        ),
        options=("-m", "not dev_mode and not autobahn and not internal"),
    ),
    "aioquic": Suite(("pyopenssl", "service-identity")),
    "aiosmtplib": Suite(("pytest-asyncio", "aiosmtpd", "hypothesis", "trustme"), options=("--import-mode=importlib",)),
    "anyio": Suite(
        ("blockbuster", "hypothesis", "psutil", "pytest-mock", "pytest-timeout", "trustme", "truststore"),
        options=("-p", "anyio", "-p", "pytest_mock", "-p", "timeout", "-p", "no:asyncio"),
    ),
    "asyncssh": Suite(("aiofiles", "bcrypt", "fido2", "ifaddr", "pyOpenSSL"), without=("ssh-agent",)),
    "telnetlib3": Suite(
        ("pytest-asyncio", "pytest-timeout", "pexpect", "trustme"), tests="telnetlib3/tests", options=("-p", "no:anyio")
    ),
    "tornado": Suite(
        (),
        tests="tornado/test",
        options=("-o", "python_files=*_test.py"),
        environment=(("SUITES_SILENT", "tornado.access"),),  # as its own runner does
    ),
    "uvicorn": Suite(
        (
            *(
                "pytest-mock",
                "pytest-codspeed",
                "trustme",
                "cryptography",
                "httpx2",
                "a2wsgi",
                "wsproto",
                "websockets",
                "httptools",
            ),
            *("python-dotenv", "pyyaml", "watchfiles", "typing_extensions", "psutil"),
        )
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SUITES)}; all where left out")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "rpcnet-suites")
    parser.add_argument("--timeout", type=float, default=20.0, help="seconds for one test (20)")
    parser.add_argument("--again", action="store_true", help="on simulated loops only; the cache has the other results")
    given = parser.parse_args()
    if unknown := set(given.names) - set(SUITES):
        parser.error(f"there is no suite {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    for name in given.names or SUITES:
        try:
            told = measure(name, given.cache.resolve(), given.timeout, again=given.again)
        except (RuntimeError, subprocess.SubprocessError) as error:
            print(f"{name}: {error}", flush=True)
            continue
        print(name, json.dumps(told), flush=True)
        table = json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.exists() else {}
        table[name] = told
        TABLE.write_text(json.dumps(dict(sorted(table.items())), indent=2) + "\n", encoding="utf-8")


def measure(name: str, cache: Path, limit: float, *, again: bool = False) -> dict[str, Any]:
    """Run both, compare; what goes into the table."""
    source, python = prepared(name, cache)
    worlds = {
        world: results(cache / name / f"{world}.jsonl")[0]
        if again and world == "asyncio"
        else run(name, source, python, world, limit)
        for world in ("asyncio", "sim")
    }
    found: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}
    for test, real in worlds["asyncio"].items():
        if real["outcome"] == "passed" and real["ran"]:
            kind, text = judged(worlds["sim"].get(test))
            found[kind][test] = text
    DETAILS.mkdir(parents=True, exist_ok=True)
    details = {kind: found[kind] for kind in KINDS if kind != "same"}
    (DETAILS / f"{name}.json").write_text(json.dumps(details, indent=1), encoding="utf-8")
    return {
        "version": source.name.rpartition("-")[2],
        "tests": sum(map(len, found.values())),
        **{kind: len(found[kind]) for kind in KINDS},
    }


def judged(simulated: dict[str, Any] | None) -> tuple[str, str]:
    """What became of a test on simulated loops, and the end of what it said."""
    if simulated is None:
        return "deviates", "it was not run"
    text = simulated["text"]
    if simulated["outcome"] == "passed":
        return "same", ""
    if simulated["outcome"] == "hung" or any(each in text for each in ("sim.Deadlock", "Livelock", "Deadlock:")):
        return "hangs", text
    return ("refused" if simulated["refused"] else "deviates"), text


def prepared(name: str, cache: Path) -> tuple[Path, Path]:
    """The unpacked source, and the interpreter of an environment in which its tests can run."""
    folder = cache / name
    python = folder / "venv" / "bin" / "python"
    if not (folder / "ready").exists():
        folder.mkdir(parents=True, exist_ok=True)
        words = ["download", "--quiet", "--no-binary", ":all:", "--no-deps", "--dest", str(folder), name]
        subprocess.run([sys.executable, "-m", "pip", *words], check=True, timeout=600)
        (archive,) = folder.glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            packed.extractall(folder / "source", filter="data")
        venv.create(folder / "venv", with_pip=True)
        version = archive.name.removesuffix(".tar.gz").rpartition("-")[2]
        wanted = ["pytest", f"{name}=={version}", *SUITES[name].needs, *OF_THE_SIMULATOR]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True, timeout=1200)
        (folder / "ready").touch()
    (source,) = (folder / "source").iterdir()
    return source, python


def run(name: str, source: Path, python: Path, world: str, limit: float) -> dict[str, dict[str, Any]]:
    """By test, what became of it. A process that stands still is ended, and another one goes on after that test."""
    suite, told = SUITES[name], source.parent.parent / f"{world}.jsonl"
    told.write_text("")
    said = told.with_suffix(".log")
    said.unlink(missing_ok=True)
    path = os.pathsep.join([str(hidden(suite.without, told.parent / "hidden")), os.environ.get("PATH", os.defpath)])
    while True:
        words = ["-m", "pytest", suite.tests, "-q", "-o", "addopts=", "-p", "recorder", *suite.options]
        words += ["-p", "no:cacheprovider", "--continue-on-collection-errors"]
        with said.open("a") as log:
            process = subprocess.Popen(
                [python, *words],
                cwd=source,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                process_group=0,
                env=os.environ
                | {
                    "PATH": path,
                    "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT)]),
                    "PYTHONHASHSEED": "0",
                    "PYTEST_TIMEOUT": "0",  # pytest-timeout's
                    "SUITES_WORLD": world,
                    "SUITES_TOLD": str(told),
                    "SUITES_LIMIT": str(limit),
                }
                | dict(suite.environment),
            )
            stood_still = not ends(process, told, 4 * limit + 60)
        ended, begun = results(told)
        if begun is None:
            if not ended or process.returncode not in (0, 1):
                raise RuntimeError(f"pytest ended with {process.returncode}, see {said}")
            return ended
        text = "the process stood still" if stood_still else "the process ended"
        entry = {"test": begun, "outcome": "hung", "ran": True, "refused": False, "text": text}
        with told.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def hidden(names: tuple[str, ...], folder: Path) -> Path:
    """A folder with programs of these names that fail at once."""
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("#!/bin/sh\nexit 127\n")
        (folder / name).chmod(0o755)
    return folder


def results(told: Path) -> tuple[dict[str, dict[str, Any]], str | None]:
    """What a recorder has written, by test, and the test that has begun and not ended."""
    ended: dict[str, dict[str, Any]] = {}
    begun: str | None = None
    for line in told.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        begun = entry.get("begins")
        if begun is None:
            ended[entry["test"]] = entry
    return ended, begun


def ends(process: "subprocess.Popen[bytes]", told: Path, patience: float) -> bool:
    """Wait for it; ended by force, and False, where it has told of nothing for so long."""
    size, since = -1, time.monotonic()
    while process.poll() is None:
        time.sleep(0.5)
        now = told.stat().st_size
        if now != size:
            size, since = now, time.monotonic()
        elif time.monotonic() - since > patience:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return False
    return True


def summary() -> str:
    """All counts, as a line."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    return str(dict(sum((Counter({kind: row[kind] for kind in KINDS}) for row in table.values()), Counter())))


if __name__ == "__main__":
    main()
    print(summary())
