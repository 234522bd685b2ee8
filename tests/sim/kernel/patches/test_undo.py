"""Importing swaps nothing in the process, one call swaps all of it, another one puts everything back.

In processes of their own: this one has its simulations.
"""

import subprocess
import sys

import pytest

STATE = """
import asyncio, asyncio.sslproto, asyncio.unix_events, datetime, fcntl, gc, os, random, secrets, select, selectors
import signal, socket, ssl, sys
import tempfile, threading, time, types, uuid, warnings

random.Random("text")  # loads a hash function, which is a variable of the module then

WATCHED = [datetime, fcntl, os, random, secrets, select, selectors, signal, socket, ssl, tempfile, threading, time]
WATCHED += [uuid, warnings]
WATCHED += [module for name, module in sys.modules.items() if name.partition(".")[0] == "asyncio"]

def state():
    "Which object is each attribute of the standard library's that a simulation has to do with, by name."
    # Identities: the objects themselves would be found and swapped, as what any program keeps.
    found = {}
    for module in WATCHED:
        for name, value in vars(module).items():
            if not isinstance(value, types.ModuleType) and name not in ("__builtins__", "__warningregistry__"):
                found[module.__name__, name] = id(value)
            if isinstance(value, type):
                for inner, attribute in vars(value).items():
                    found[value.__module__, value.__qualname__, inner] = id(attribute)
            if isinstance(value, types.FunctionType):
                found[module.__name__, name, "of"] = value.__module__
                found[module.__name__, name, "defaults"] = [id(each) for each in value.__defaults__ or ()]
    found["hooks"] = sys.excepthook, sys.unraisablehook, sys.displayhook, threading.excepthook
    found["generators"] = tuple(sys.get_asyncgen_hooks())
    found["signals"] = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    found["rest"] = gc.isenabled(), threading.active_count(), sys.getswitchinterval()
    return found

def changed(before):
    "What is another object now, or there now, or gone."
    now = state()
    # Caches: a class's, those of isinstance(), of abc, the environment's.
    caches = ("__subclasshook__", "__doc__", "_abc_impl", "__abstractmethods__")
    names = [name for name in before.keys() | now.keys() if name[-1] not in caches]
    return sorted(str(name) for name in names if before.get(name) != now.get(name))
"""

CAPTURED = """
from time import monotonic as steady
from socket import gethostname as host

def by_default(clock=time.time, *, draw=random.random):
    return clock, draw

class Holder:
    wall = staticmethod(time.time)

table = {"now": datetime.datetime.now, "list": [time.sleep]}
seeded = random.Random(5)

def masked(*, generator=random.Random()):
    return generator

def captured():
    kept = [steady, host, *by_default(), Holder.wall, table["now"], table["list"][0], type(masked()), type(seeded)]
    return [id(each) for each in kept]
"""


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", STATE + code],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.gate
def test_importing_all_of_sim_swaps_nothing() -> None:
    code = """
import importlib, pkgutil
import simpy, networkx, msgpack, msgspec, matplotlib, rich, cyclopts, jinja2, pytest, multiprocessing.pool, rpcnet
import rpcnet.client, rpcnet.server, rpcnet.cluster
before = state()
import sim
for each in pkgutil.walk_packages(sim.__path__, "sim."):
    if not each.name.endswith("__main__"):  # importing that is running it
        importlib.import_module(each.name)
assert "sim.kernel.patches.asyncio_hashes" in sys.modules
print(changed(before))
"""
    assert run(code) == "[]"


def test_a_simulation_swaps_and_undo_puts_all_back() -> None:
    code = f"""{CAPTURED}
import sim.kernel.simulation
from sim.kernel import patches
before, held = state(), captured()
with sim.Simulation(1) as simulation:
    made = random.Random()
swapped = {{"('time', 'time')", "('socket', 'socket', '__new__')", "('datetime', 'datetime', 'now')"}}
assert swapped <= set(changed(before))
assert captured() != held and type(made) is not random.Random
late = time.monotonic  # captured while it was swapped
patches.undo()
print(changed(before), captured() == held, type(made) is random.Random, late is steady)
"""
    assert run(code) == "[] True True True"


def test_after_undo_all_is_real_and_another_simulation_simulates() -> None:
    code = f"""{CAPTURED}
import sim
from sim.kernel import patches

async def main():
    await asyncio.sleep(5)
    return steady(), time.time(), random.random(), masked().random(), str(datetime.datetime.now()), host()

one = sim.run(main(), seed=3)
patches.undo()
patches.undo()  # once more changes nothing
assert steady() != 5.0 and host() == socket.gethostname() and time.time() > one[1]
asyncio.run(asyncio.sleep(0))
asyncio.SelectorEventLoop(__import__("selectors").SelectSelector()).close()
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as real:
    assert type(real) is socket.socket
assert sim.run(main(), seed=3) == one
assert one[0] == 5.0
print("fine")
"""
    assert run(code) == "fine"
