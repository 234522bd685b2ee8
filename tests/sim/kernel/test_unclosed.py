"""A simulation that nobody closed: one ResourceWarning that names where it was made, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

PROGRAM = """
import asyncio, gc
import sim

async def echo(reader, writer):
    try:
        await reader.readexactly(5)
        await asyncio.sleep(1000)
    finally:
        writer.close()

async def serve():
    async with await asyncio.start_server(echo, "0.0.0.0", 7) as server:
        await server.serve_forever()

async def talk():
    reader, writer = await asyncio.open_connection("server", 7)
    writer.write(b"hello")
    try:
        await reader.read()
    finally:
        await asyncio.sleep(1)

def made():
    simulation = sim.Simulation(7)
    simulation.add_node("server").start(serve)
    for number in range(3):
        simulation.add_node(f"client-{number}").start(talk, delay=1.0)
    simulation.run(until=5)
    return simulation

"""


def said_by(ending):
    """What Python says on stderr in its development mode, in which ResourceWarnings are shown."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", PROGRAM + ending],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stderr.splitlines()


@pytest.mark.parametrize(
    "ending",
    [
        "simulation = made()",
        "simulation = made(); del simulation; gc.collect()",
        "simulation = made(); gc.collect(); simulation.run(until=6); del simulation; gc.collect()",
    ],
)
def test_an_unclosed_simulation_is_one_warning_that_names_its_line(ending):
    # From Python 3.13 on the line itself is shown below, indented.
    told = [line for line in said_by(ending) if "tracemalloc" not in line and not line.startswith(" ")]
    assert len(told) == 1
    line = PROGRAM.splitlines().index("    simulation = sim.Simulation(7)") + 1
    assert told[0].startswith(f"<string>:{line}: ResourceWarning: a simulation of seed 7, made here, was never closed")


@pytest.mark.parametrize(
    "ending",
    [
        "with sim.Simulation(1) as closed: closed.add_node('server').start(serve); closed.run(until=1)",
        "with asyncio.Runner(loop_factory=sim.new_event_loop) as runner: runner.run(asyncio.sleep(1))",
        "sim.run(asyncio.sleep(1))",
        "simulation = sim.Simulation(1); del simulation; gc.collect()",
    ],
)
def test_what_has_ended_is_no_unclosed_simulation(ending):
    assert said_by(f"{ending}\ngc.collect()") == []
