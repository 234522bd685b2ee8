"""The digest of a run depends on the scenario and the seed, and on nothing around it."""

import asyncio
import functools
import gc
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rpcnet
from sim import Scenario, Simulation

ROOT = Path(__file__).parents[2]
PLANTED = Path(__file__).parent / "planted"
PLAIN = {"PYTHONPATH": f"{ROOT}{os.pathsep}{PLANTED}"}

pytestmark = pytest.mark.gate


def digest(file, *flags, folder=ROOT, cores=None, **environment):
    """Of a run in a process of its own."""
    done = subprocess.run(
        [sys.executable, *flags, "-m", "sim.cli", "run", str(file), "--seed", "3", "--json"],
        env=os.environ | PLAIN | environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        preexec_fn=None if cores is None else lambda: os.sched_setaffinity(0, cores),
    )
    result = json.loads(done.stdout)
    assert result["error"] is None, result["error"]
    return result["digest"]


@pytest.fixture(scope="module")
def usual():
    return digest(PLANTED / "steady.toml")


# Several in one process, as starting it takes longest: whichever of them mattered would show.
@pytest.mark.parametrize(
    ("flags", "environment"),
    [
        (("-O",), {"PYTHONHASHSEED": "0", "TZ": "Asia/Kathmandu", "PYTHONMALLOC": "malloc"}),
        (("-OO",), {"PYTHONHASHSEED": "4294967295", "TZ": "America/St_Johns", "LC_ALL": "C"}),
        ((), {"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8", "SOMETHING": "else", "HOME": "/", "TMPDIR": "/var/tmp"}),
        ((), {"PYTHONASYNCIODEBUG": "1", "PYTHONDONTWRITEBYTECODE": "1"}),
        (("-X", "dev", "-W", "ignore"), {}),
    ],
    ids=lambda value: (
        " ".join(map(str, value)) if isinstance(value, tuple) else ",".join(f"{k}={value[k]}" for k in value)
    ),
)
def test_it_does_not_depend_on_the_environment(usual, flags, environment):
    assert digest(PLANTED / "steady.toml", *flags, **environment) == usual


def test_it_does_not_depend_on_the_number_of_cores(usual):
    assert digest(PLANTED / "steady.toml", cores={min(os.sched_getaffinity(0))}) == usual


def test_it_does_not_depend_on_the_directory(usual, tmp_path):
    shutil.copy(PLANTED / "steady.toml", tmp_path)
    shutil.copy(PLANTED / "planted_steady.py", tmp_path)
    elsewhere = digest("steady.toml", folder=tmp_path, PYTHONPATH=str(ROOT))
    assert elsewhere == digest(tmp_path / "steady.toml", folder="/") == usual


def test_it_does_not_depend_on_what_ran_before_in_the_process(usual, monkeypatch):
    monkeypatch.syspath_prepend(str(PLANTED))
    monkeypatch.chdir(ROOT)
    scenario = Scenario.load(PLANTED / "steady.toml")
    random.seed(1)
    others = [scenario.run(seed=seed).digest for seed in (4, 5)]
    assert Scenario.load(ROOT / "scenarios" / "worker_death.toml").run(seed=9).error is None
    random.random()
    assert scenario.run(seed=3).digest == usual
    assert scenario.run(seed=3).digest == usual
    assert usual not in others


LATE = """
import asyncio

async def main(node):
    import rpcnet
    config = rpcnet.RpcConfig(insecure=True)
    async with rpcnet.RpcServer(node.address("rpc"), config=config), node.cluster():
        node.ready()
        while True:
            await asyncio.sleep(0.2)
            node.record("drew", value=node.random.random())
"""


def test_it_does_not_depend_on_whether_a_node_loads_a_module_first(tmp_path, monkeypatch):
    """As it does in a process of its own; in this one rpcnet is loaded."""
    (tmp_path / "late_app.py").write_text(LATE)
    file = tmp_path / "late.toml"
    node = '[[node]]\nname = "n"\ncount = 2\napp = "late_app:main"\n'
    file.write_text('name = "late"\nduration = "3s"\n' + node)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert rpcnet.RpcServer and rpcnet.Cluster
    run = Scenario.load(file).run(seed=3)
    assert [event for event in run.trace if event.name == "drew"]
    assert run.digest == digest(file, folder=tmp_path)


def test_a_whole_cluster_is_the_same_in_odd_surroundings():
    scenario = ROOT / "scenarios" / "worker_death.toml"
    odd = digest(scenario, "-O", TZ="Asia/Tokyo", PYTHONHASHSEED="7", PYTHONASYNCIODEBUG="1", LC_ALL="C")
    assert odd == digest(scenario, PYTHONHASHSEED="8")


async def _talks():
    """Over each of the ways that a connection, and an endpoint for datagrams, comes about."""

    async def answer(reader, writer):
        writer.write(await reader.readline())
        writer.close()

    loop = asyncio.get_running_loop()
    datagrams, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 7))
    async with await asyncio.start_server(answer, "127.0.0.1", 7):
        for _ in range(4):
            reader, writer = await asyncio.open_connection("127.0.0.1", 7)
            writer.write(b"hello\n")
            await asyncio.gather(reader.read(), asyncio.sleep(0))
            writer.close()
            datagrams.sendto(b"hello", ("127.0.0.1", 7))
            loop.node.record("heard", at=loop.time())
    datagrams.close()


@pytest.mark.parametrize("settings", [{"cpu": "lognormal(50us, 1)"}, {"interleaving": "random"}])
def test_debug_mode_takes_the_same_steps(settings):
    digests = set()
    for debug in (False, True):
        with Simulation(3, **settings) as simulation:
            node = simulation.add_node("a")
            node.loop.set_debug(debug)
            simulation.run_until_complete(node.start(_talks))
        digests.add(simulation.digest())
    assert len(digests) == 1


class _Fails:
    """A method of it as a callback, whose arguments are told with it."""

    async def waits(self):
        await asyncio.sleep(1)

    def raises(self, *arguments):
        raise ValueError(arguments)


async def _fails():
    loop, fails = asyncio.get_running_loop(), _Fails()
    waits = asyncio.create_task(fails.waits(), name="waits")
    await asyncio.sleep(0)
    for argument in (waits, loop, loop.create_future(), loop.call_later(2, fails.raises)):
        loop.call_soon(fails.raises, argument)
        loop.call_soon(functools.partial(fails.raises, argument))
    loop.call_later(0.5, fails.raises, waits, 1)
    asyncio.create_task(_raises(waits), name="raises")  # noqa: RUF006 - nobody asks for it
    await asyncio.sleep(1)
    gc.collect()


async def _raises(argument):
    raise ValueError(repr(argument))


def test_debug_mode_tells_the_same_of_what_nobody_handles():
    told = []
    for debug in (False, True):
        with Simulation(3) as simulation:
            node = simulation.add_node("a")
            node.loop.set_debug(debug)
            simulation.run_until_complete(node.start(_fails))
        told.append([event.fields for event in simulation.trace.events() if event.name == "unhandled"])
    assert len(told[0]) == 11
    assert told[0] == told[1]
    assert told[0][0]["message"] == "Exception in callback _Fails.raises()"
