"""What is loaded with the simulator: every test file and every command waits for it before anything else happens."""

import subprocess
import sys
from functools import cache
from importlib.util import cache_from_source
from pathlib import Path
from types import ModuleType

import pytest

import sim
import sim.trace

NEEDED = "asyncio, ctypes, hashlib, msgspec, tempfile, uuid"
"""What a simulation cannot do without, together with all that these import."""
SIMULATION = """
import asyncio
from sim import Simulation

async def serve():
    async def answer(reader, writer):
        writer.write(await reader.readexactly(2))
        writer.close()
    async with await asyncio.start_server(answer, port=80) as server:
        await server.serve_forever()

async def ask():
    reader, writer = await asyncio.open_connection("server", 80)
    writer.write(b"hi")
    assert await reader.read() == b"hi"
    writer.close()

with Simulation(seed=1) as simulation:
    simulation.network.default_link(preset="lan", loss="1%")
    simulation.add_node("server").start(serve)
    client = simulation.add_node("client")
    simulation.network.partition(["server"], ["client"], name="cut")
    simulation.run(until=1.0)
    simulation.network.heal("cut")
    simulation.run_until_complete(client.start(ask))
simulation.digest()
"""


@cache
def loaded_by(code: str) -> frozenset[str]:
    """The names of the modules that a process has when it has run that; what is built into Python costs nothing."""
    code += "\nimport sys; print('modules', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return frozenset(done.stdout.splitlines()[-1].split()[1:]).difference(sys.builtin_module_names)


def rooms(modules: frozenset[str]) -> set[str]:
    return {".".join(name.split(".")[:2]) for name in modules if name.startswith("sim.")}


def test_a_simulation_loads_nothing_beside_what_it_cannot_do_without() -> None:
    """Not even of the standard library: `dataclasses`, which makes each class slow to define, is what this is about.

    Who adds a module to NEEDED has measured what it costs (`python -X importtime`), and that it cannot come later.
    """
    loaded = loaded_by(SIMULATION)
    beside = loaded - loaded_by(f"import {NEEDED}")
    # Private ones are parts of those, loaded late: `random` gets itself a hash function for the first seed.
    assert {name for name in beside if name.split(".")[0] != "sim" and name[0] != "_"} == set()
    assert rooms(loaded) == {"sim.extras", "sim.kernel", "sim.network", "sim.trace"}


@pytest.mark.parametrize(
    "unused",
    [
        "sim.network.environment",
        "sim.network.graph",
        "sim.network.inbox",
        "sim.trace.cause",
        "sim.trace.diff",
        "sim.trace.reader",
    ],
)
def test_a_simulation_does_not_load(unused: str) -> None:
    loaded = loaded_by(SIMULATION)
    assert unused not in loaded
    assert unused in loaded_by(f"import {unused}"), "it has another name now"


@pytest.mark.parametrize("package", [sim, sim.trace], ids=["sim", "sim.trace"])
def test_every_name_is_found_though_some_are_loaded_late(package: ModuleType) -> None:
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'nothing'"):
        package.nothing  # noqa: B018


@pytest.mark.gate
def test_the_installation_made_byte_code() -> None:
    """pip does for a package that it copies, setup.py for a checkout; else each start may have to compile it all."""
    assert Path(cache_from_source(sim.trace.__file__ or "")).exists()


def packages(loaded: frozenset[str]) -> set[str]:
    return {name.split(".")[0] for name in loaded}


def test_the_help_of_the_command_loads_nothing_of_the_simulator() -> None:
    loaded = loaded_by("from sim.cli import execute; assert execute(['run', '--help']) == 0")
    assert "cyclopts" in packages(loaded)
    assert rooms(loaded) == {"sim.cli", "sim.extras", "sim.paths"}
    assert packages(loaded).isdisjoint({"rpcnet", "simpy", "msgspec", "networkx"})


def test_graphs_reports_and_studies_are_loaded_for_who_wants_one() -> None:
    loaded = loaded_by("import sim.cli, sim.backends.simulated, sim.backends.sockets, sim.scenario.run")
    assert {"rpcnet", "simpy", "msgspec"} <= packages(loaded)
    assert packages(loaded).isdisjoint({"networkx", "matplotlib", "jinja2", "numpy", "pandas", "multiprocessing"})
    assert rooms(loaded).isdisjoint({"sim.report", "sim.study", "sim.apps"})
    assert "networkx" in packages(loaded_by("import sim.backends.graph"))


def test_a_process_of_a_sweep_loads_nothing_that_prints_or_draws() -> None:
    loaded = loaded_by("import sim.study.worker, sim.backends.simulated")
    assert packages(loaded).isdisjoint({"rich", "cyclopts", "networkx", "matplotlib", "jinja2", "numpy", "pandas"})
    assert {"rpcnet.client", "rpcnet.server", "rpcnet.cluster"}.isdisjoint(loaded)
