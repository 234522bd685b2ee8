"""A disk that fills up under a trace."""

import asyncio
import errno
import os

import pytest

from sim import Simulation
from sim.trace import Trace, TraceWriteError, read

ROOM = 20_000


@pytest.fixture
def full(monkeypatch):
    """A disk with so much room, and no more."""
    left = [ROOM]
    write = os.write

    def bounded(descriptor, data):
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        took = write(descriptor, data[: left[0]])
        left[0] -= took
        return took

    monkeypatch.setattr("sim.trace.record.os.write", bounded)


def test_what_was_written_before_the_disk_was_full_is_readable(full, tmp_path):
    trace = Trace(tmp_path / "trace", batch=10)

    def write_for_ever():
        while True:
            trace.record(0.0, "a", "token", 0, index=trace.lines)

    with pytest.raises(TraceWriteError, match=r"No space left on device: the trace .* cannot be written on"):
        write_for_ever()
    trace.record(1.0, "a", "late")
    trace.close()
    found = [event.fields["index"] for event in read(tmp_path / "trace")]
    assert found == list(range(len(found))) and len(found) > 500


def test_a_run_ends_between_two_events_and_its_nodes_never_hear_of_it(full, tmp_path):
    heard = []

    async def writes():
        try:
            while True:
                await asyncio.sleep(0.001)
                simulation.record("a", "token")
        except OSError as error:
            heard.append(error)

    simulation = Simulation(1, trace=tmp_path / "trace")
    simulation.add_node("a").start(writes)
    with pytest.raises(TraceWriteError, match="free some space"):
        simulation.run(until=1e6)
    assert 1.0 < simulation.now < 1e4
    simulation.close()
    simulation.trace.close()
    assert heard == []
    assert sum(event.name == "token" for event in read(tmp_path / "trace")) > 500


def test_a_short_run_that_could_not_be_written_says_so_when_it_is_closed(full, tmp_path):
    simulation = Simulation(1, trace=tmp_path / "trace")
    simulation.record("", "long", text="x" * 2 * ROOM)
    with pytest.raises(TraceWriteError):
        simulation.close()
    simulation.close()
