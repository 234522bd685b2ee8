"""What only real processes have: they die on their own, and none is left however a run ends."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from sim.backends import sockets as backend
from sim.backends.addresses import AddressBlock
from sim.backends.program import NodeProgram, Program, ProgramError, Script, World

ROOT = Path(backend.__file__).parent.parent.parent

RUNNER = """
import sys
from pathlib import Path
from sim.backends.program import NodeProgram, Program
from sim.backends.sockets import run

nodes = tuple(NodeProgram(name=name, app="apps_under_test:stubborn") for name in "ab")

def script(world):
    world.pause("a", 3600.0)
    print("running", flush=True)
    yield 3600.0

run(Program(scenario="t", seed=1, duration=3600.0, nodes=nodes, scripts=lambda w: [script(w)], grace=3600.0),
    Path(sys.argv[1]))
"""


def processes_with(mark: str) -> list[int]:
    """Every process whose environment holds this text."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if mark.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def wait_until_gone(mark: str) -> None:
    """A process that was killed is there until the kernel has got to it, which a busy machine takes its time for."""
    patience = time.monotonic() + 10
    while (left := processes_with(mark)) and time.monotonic() < patience:
        os.sched_yield()
    assert left == []


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGKILL, -signal.SIGKILL)], ids=["Ctrl-C", "SIGKILL"]
)
def test_no_process_is_left_when_the_runner_is_ended(tmp_path: Path, number: signal.Signals, code: int) -> None:
    mark = f"RPCNET_TEST_MARK={uuid.uuid4()}"
    name, _, value = mark.partition("=")
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    runner = subprocess.Popen(
        [sys.executable, "-c", RUNNER, str(tmp_path / "run.trace")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {name: value, "PYTHONPATH": path},
    )
    try:
        assert runner.stdout is not None
        assert runner.stdout.readline() == b"running\n"
        children = [os.pidfd_open(pid) for pid in processes_with(mark) if pid != runner.pid]
        assert len(children) == 2
        runner.send_signal(number)
        _, err = runner.communicate(timeout=20)
    finally:
        runner.kill()
    for child in children:
        # A descriptor of a process becomes readable when it ends.
        assert asyncio.run(readable(child)), err
        os.close(child)
    wait_until_gone(mark)
    assert runner.returncode == code
    if number is signal.SIGINT:
        assert (tmp_path / "run.trace").stat().st_size > 0


async def readable(descriptor: int) -> bool:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_reader(descriptor, done.set)
    try:
        await asyncio.wait_for(done.wait(), 20)
    finally:
        loop.remove_reader(descriptor)
    return True


def test_no_process_is_left_when_a_script_fails(sockets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = str(uuid.uuid4())
    monkeypatch.setenv("RPCNET_TEST_MARK", mark)

    def script(world: World) -> Script:
        yield 0.0
        raise LookupError("a mistake in a script")

    with pytest.raises(LookupError, match="a mistake in a script"):
        sockets.play({"a": "stubborn", "b": "idle"}, script, duration=60)
    wait_until_gone(mark)


def test_a_process_that_ends_without_a_word_has_failed(sockets: Any) -> None:
    played = sockets.play({"a": "exits"}, duration=0.5)
    assert played.outcome.error.startswith("a (apps_under_test:exits): the process ended with status 7")
    assert "status 7" in played.one("a", "node_failed").fields["error"]


def test_what_a_node_started_ends_with_it(sockets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = str(uuid.uuid4())
    monkeypatch.setenv("RPCNET_TEST_MARK", mark)
    sockets.play({"a": "spawns"})
    wait_until_gone(mark)


def test_what_a_node_prints_is_shown_behind_its_name(sockets: Any, capfd: pytest.CaptureFixture[str]) -> None:
    sockets.play({"a": "prints"})
    output = capfd.readouterr()
    assert "a | hello from the node\n" in output.err
    assert output.out == ""


def test_a_run_works_inside_a_running_loop(tmp_path: Path) -> None:
    async def notebook_cell() -> None:
        node = NodeProgram(name="a", app="apps_under_test:bare")
        program = Program(scenario="t", seed=1, duration=0.1, nodes=(node,), scripts=lambda world: [])
        outcome = backend.run(program, tmp_path / "run.trace")
        assert outcome.error is None
        assert outcome.digest is None

    asyncio.run(notebook_cell())


def test_two_runs_at_a_time_have_addresses_of_their_own() -> None:
    with AddressBlock(3) as one, AddressBlock(3) as other:
        addresses = {block.address(number) for block in (one, other) for number in range(3)}
    assert len(addresses) == 6
    with pytest.raises(ProgramError, match="254 nodes are too many"):
        AddressBlock(254)
