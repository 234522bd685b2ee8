"""A notebook's interrupt button, in a kernel of IPython's: a short traceback, no thread left, the next cell runs."""

import os
import re
import time
from pathlib import Path

import pytest

start_new_kernel = pytest.importorskip("jupyter_client.manager").start_new_kernel

ROOT = Path(__file__).parents[3]

DEFINED = """
import asyncio, threading, time
from pathlib import Path
import sim

async def spin(file):
    Path(file).touch()
    while True:
        pass

async def spins_softly(file):
    Path(file).touch()
    while True:
        await asyncio.sleep(0.001)

def threads():
    return sorted(thread.name for thread in threading.enumerate())

before = threads()
"""
AFTER = """
assert threads() == before, threads()
async def sleeps():
    await asyncio.sleep(5)
    return "it runs"
print(sim.run(sleeps()))
"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """Runs a cell; given a file, interrupts it when that is there. Returns what the cell printed and its traceback."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    folder = tmp_path_factory.mktemp("notebook")
    manager, client = start_new_kernel(kernel_name="python3", env=environment, cwd=str(folder))

    def run(code, file=None):
        asked = client.execute(code)
        if file is not None:
            deadline = time.monotonic() + 60
            while not (folder / file).exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            manager.interrupt_kernel()
        said = []
        while True:
            message = client.get_iopub_msg(timeout=60)
            content = message["content"]
            if message["parent_header"].get("msg_id") != asked:
                continue
            if message["msg_type"] == "error":
                said += content["traceback"]
            said += [content["text"]] if message["msg_type"] == "stream" else []
            if content.get("execution_state") == "idle":
                return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(said))

    try:
        assert run(DEFINED) == ""
        yield run
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()


@pytest.mark.gate
@pytest.mark.parametrize(
    "cell",
    [
        "with sim.Simulation(1) as simulation:\n    simulation.add_node('a').start(spin, 'one')\n    simulation.run()",
        "sim.run(spin('two'))",
    ],
)
def test_the_interrupt_button_ends_a_cell_that_spins_with_a_short_traceback(notebook, cell):
    said = notebook(cell, "one" if "one" in cell else "two")
    assert said.rstrip().splitlines()[-1].startswith("KeyboardInterrupt: at 0 s, ")
    assert "in spin(file)" in said
    assert len(re.findall(r"^(Cell|File) .*, (in|line) ", said, re.M)) == 2, said
    assert notebook(AFTER) == "it runs\n"


SCENARIO = """
Path("spins_test_app.py").write_text('''
from pathlib import Path

async def main(node, *, file):
    node.ready()
    Path(file).touch()
    while True:
        pass
''')
Path("spins.toml").write_text('''
name = "spins"
duration = "1s"
[[node]]
name = "a"
app = "spins_test_app:main"
args = { file = "four" }
''')
"""


@pytest.mark.gate
def test_the_interrupt_button_ends_a_scenario_with_a_short_traceback(notebook):
    assert notebook(SCENARIO) == ""
    said = notebook("sim.Scenario.load('spins.toml').run()", "four")
    assert said.rstrip().splitlines()[-1].startswith("KeyboardInterrupt: at 0 s, a was in main (")
    assert len(re.findall(r"^(Cell|File) .*, (in|line) ", said, re.M)) <= 3, said
    assert notebook(AFTER) == "it runs\n"


@pytest.mark.gate
def test_the_interrupt_button_ends_a_cell_that_goes_on_for_ever(notebook):
    said = notebook(
        "simulation = sim.Simulation(1)\nsimulation.add_node('a').start(spins_softly, 'three')\nsimulation.run()",
        "three",
    )
    assert "KeyboardInterrupt: at " in said and "between two events; the last was of a" in said
    assert notebook("simulation.run(until=simulation.now + 1)\nsimulation.close()") == ""
    assert notebook(AFTER) == "it runs\n"
