"""docs/tutorial.md, followed to the letter: its files are written, its commands run, its output compared."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
SERVICE, SCENARIO = PAGE.split("\n# Part two")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FOUND = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}
PORT = "8765"
"""The port that the page names. The test takes a free one, and does all else as the page says."""
PATIENCE = 60.0
"""Seconds until a line is missed that the page shows. A line that comes is not waited for any longer."""


def run(command: str, directory: Path) -> str:
    """One command line of the page; a comment says with what it exits."""
    line, _, comment = command.partition("#")
    wanted = int(comment.removeprefix(" exits with ")) if comment else 0
    done = subprocess.run(
        shlex.split(line),
        cwd=directory,
        env=os.environ | FOUND,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == wanted, done.stdout + done.stderr
    return done.stdout + done.stderr


# Part one.


class Job:
    """A command that goes on while others run: `python journal.py &`."""

    def __init__(self, command: str, directory: Path) -> None:
        self.process = subprocess.Popen(
            command.split(),
            cwd=directory,
            env=os.environ | FOUND,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.said: Queue[str] = Queue()
        self.listener = threading.Thread(target=self.listen)
        self.listener.start()

    def listen(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.said.put(line.rstrip("\n"))

    def end(self, number: int) -> int:
        """Send it a signal; its exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self.listener.join()


class Terminal:
    """Does in one directory what the page says: writes files, runs commands, and reads what they print."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = str(free.getsockname()[1])
        self.jobs: list[Job] = []
        self.said: list[str] = []

    def follow(self, text: str) -> None:
        text = text.replace(PORT, self.port)
        for block in BLOCK.finditer(text):
            language, content = block.groups()
            if language == "python":
                name = re.findall(r"Write `(\w+\.py)`", text[: block.start()])[-1]
                (self.directory / name).write_text(content, encoding="utf-8")
            elif language == "sh":
                self.said.clear()
                for line in content.splitlines():
                    self.command(line)
            else:
                self.expect(content.splitlines())

    def command(self, line: str) -> None:
        if line.endswith("&"):
            job = Job(line.removesuffix("&"), self.directory)
            self.jobs.append(job)
            self.said.append(job.said.get(timeout=PATIENCE))  # it has started: what comes next may rely on it
        elif line.startswith("kill -9 %"):
            assert self.jobs.pop(int(line.removeprefix("kill -9 %")) - 1).end(signal.SIGKILL) == -signal.SIGKILL
        else:
            self.said += run(line, self.directory).splitlines()

    def expect(self, lines: list[str]) -> None:
        """These lines are printed, in this order; `…` stands for anything."""
        wanted = [re.escape(line).replace("…", ".*") for line in lines]
        until = time.monotonic() + PATIENCE
        while not in_order(wanted, self.said):
            assert time.monotonic() < until, f"{lines} did not come, but {self.said}"
            for job in self.jobs:
                try:
                    self.said.append(job.said.get(timeout=0.05))
                except Empty:
                    continue


def in_order(wanted: list[str], said: list[str]) -> bool:
    rest = iter(said)
    return all(any(re.fullmatch(pattern, line) for line in rest) for pattern in wanted)


@pytest.fixture
def terminal(tmp_path: Path, interruptible: None) -> Iterator[Terminal]:
    opened = Terminal(tmp_path)
    try:
        yield opened
        while opened.jobs:
            assert opened.jobs.pop(0).end(signal.SIGINT) == 0
    finally:
        for job in opened.jobs:
            job.end(signal.SIGKILL)


@pytest.mark.gate
@pytest.mark.timeout(300)
def test_the_service_of_the_tutorial_can_be_followed(terminal: Terminal) -> None:
    terminal.follow(SERVICE)
    assert [line.split()[0] for line in terminal.said if line[0].isdigit()] == ["5", "6"]
    assert len((terminal.directory / "journal.txt").read_text().splitlines()) == 7


# Part two.


@pytest.mark.gate
@pytest.mark.timeout(300)
def test_the_scenario_of_the_tutorial_can_be_followed(tmp_path: Path) -> None:
    blocks = BLOCK.findall(SCENARIO)
    python = [text for language, text in blocks if language == "python"]
    program, given_up, replaced, added, imported = python
    scenario, fault = (text for language, text in blocks if language == "toml")
    assert given_up in program
    mended = program.replace(given_up, replaced).replace(
        "\n\nasync def find_till", f"\n\n{added}\n\nasync def find_till"
    )
    mended = re.sub(r"^from rpcnet import .*\n", imported, mended, flags=re.MULTILINE)
    steps = [(program, scenario), (program, f"{scenario}\n{fault}"), (mended, f"{scenario}\n{fault}")]

    commands = [text.splitlines() for language, text in blocks if language == "sh"]
    outputs = [text.splitlines() for language, text in blocks if language == "text"]
    for (code, file), lines, shown in zip(steps, commands, outputs, strict=True):
        (tmp_path / "till.py").write_text(code, encoding="utf-8")
        (tmp_path / "till.toml").write_text(file, encoding="utf-8")
        seen = "".join(run(line, tmp_path) for line in lines)
        for line in shown:
            assert line in seen
    assert (tmp_path / "report" / "index.html").exists()


def test_every_link_of_the_tutorial_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
