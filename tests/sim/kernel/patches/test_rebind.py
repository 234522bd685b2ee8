"""What programs captured before there was a simulation, in processes of their own: once a process it is found."""

import json
import subprocess
import sys
import textwrap

import pytest

CAPTURES = """
import dataclasses, datetime, functools, gc, json, logging, os, random, time, uuid

@dataclasses.dataclass
class Row:
    at: float = dataclasses.field(default_factory=time.time)
    now: datetime.datetime = dataclasses.field(default_factory=datetime.datetime.now)
    key: uuid.UUID = dataclasses.field(default_factory=uuid.uuid4)

class Clocks:
    steady = time.monotonic
    wall = staticmethod(time.time)
    def __init__(self):
        self.mine = time.time
    def ask(self):
        return self.steady(), self.wall(), self.mine()

def by_default(clock=time.time, *, steady=time.monotonic, day=datetime.date.today):
    return clock(), steady(), str(day())

def masked(*, generator=random.Random()):
    return generator.random()

def closure(clock):
    return lambda: clock()

clocks, table, several = Clocks(), {"wall": time.time}, [time.monotonic]
partial, inner, seeded = functools.partial(time.time), closure(time.time), random.Random(5)
handed, named = functools.partial(lambda clock: clock(), time.time), functools.partial(closure, clock=time.time)

def ask():
    row = Row()
    formatted = logging.Formatter("%(asctime)s").format(logging.LogRecord("a", 1, "", 1, "", (), None))
    return [
        row.at, str(row.now), str(row.key), clocks.ask(), by_default(), masked(), table["wall"](), several[0](),
        partial(), inner(), handed(), named()(), formatted, seeded.random(),
    ]
"""
RUN = """
import sim
async def main():
    return ask()
print(json.dumps([sim.run(main(), seed=1), sim.run(main(), seed=1)[:-1], ask()]))
"""
SECONDS = 1_735_689_600.0


def outcome(code, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={"PYTHONPATH": ":".join(sys.path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def found():
    return outcome(CAPTURES + RUN, TZ="Asia/Kathmandu")


def test_clocks_are_found_wherever_they_are_kept(found):
    at, now, _, clocks, by_default, _, table, several, partial, inner, handed, named, formatted, _ = found[0]
    assert {at, table, partial, inner, handed, named, *clocks[1:], by_default[0]} == {SECONDS}
    assert {several, clocks[0], by_default[1]} == {0.0}
    assert (now, by_default[2], formatted) == ("2025-01-01 00:00:00", "2025-01-01", "2025-01-01 00:00:00,000")


def test_randomness_is_that_of_the_seed_but_for_a_generator_with_a_seed_of_its_own(found):
    elsewhere = outcome(CAPTURES + RUN, TZ="UTC", PYTHONHASHSEED="1")
    assert found[0] == elsewhere[0]
    assert found[0][:-1] == found[1] == elsewhere[1]
    assert found[0][-1] == 0.6229016948897019


def test_outside_of_nodes_they_are_the_real_ones(found):
    assert all(value > SECONDS + 1e7 for value in (found[2][0], found[2][3][1], found[2][6], found[2][8], found[2][9]))


def test_what_is_hidden_from_the_search_is_found_by_the_name_of_a_module():
    code = """
    import gc, json
    from time import time
    gc.freeze()
    import sim
    async def main():
        return time()
    print(json.dumps(sim.run(main())))
    """
    assert outcome(code) == SECONDS
