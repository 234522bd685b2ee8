"""Large pages: asked for when memory has grown, without a change to what is in it."""

import errno
import mmap
import re
import sys
from pathlib import Path

import pytest

import sim
from sim.kernel import pages, simulation

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def asked(monkeypatch):
    """The addresses that are asked for; nothing is done."""
    found = []
    monkeypatch.setattr(pages, "_collapse", lambda start: found.append(start) or 0)
    monkeypatch.setattr(pages, "_gathered", 100.0)
    return found


@linux
def test_it_is_asked_again_only_once_memory_has_grown(asked, monkeypatch):
    for resident, is_time in ((124, False), (125, True), (125, False), (156, False), (157, True)):
        monkeypatch.setattr(pages, "_resident", lambda resident=resident: resident)
        asked.clear()
        assert pages.gather_if_grown() is is_time
        assert bool(asked) is is_time


@linux
def test_what_is_asked_for_are_whole_pages_of_our_own_memory(asked):
    held = bytearray(8 * pages.LARGE)
    assert pages.gather_if_grown()
    assert all(start % pages.LARGE == 0 for start in asked)
    assert len(asked) >= 7
    own = Path("/proc/self/maps").read_text()
    spans = [[int(each, 16) for each in found.groups()] for found in re.finditer(r"^(\w+)-(\w+) rw-p", own, re.M)]
    assert all(any(a <= start and start + pages.LARGE <= b for a, b in spans) for start in asked)
    assert len(held) == 8 * pages.LARGE


@linux
def test_what_lies_in_gathered_memory_stays_as_it_is(monkeypatch):
    held = mmap.mmap(-1, 4 * pages.LARGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    text = bytes(range(256)) * (4 * pages.LARGE // 256)
    held.write(text)
    monkeypatch.setattr(pages, "_gathered", 0.0)
    assert pages.gather_if_grown()
    assert held[:] == text


def test_no_more_is_asked_for_once_memory_is_short(monkeypatch):
    tried = []
    monkeypatch.setattr(pages, "_large", lambda: iter(range(5)))
    monkeypatch.setattr(pages, "_resident", lambda: 10**9)
    monkeypatch.setattr(pages, "_gathered", 0.0)
    monkeypatch.setattr(pages, "_collapse", lambda n: tried.append(n) or (0, errno.EINVAL, errno.ENOMEM, 0, 0)[n])
    assert pages.gather_if_grown()
    assert tried == [0, 1, 2], "where nothing lies is no reason to stop"


def test_where_there_is_no_proc_nothing_happens(monkeypatch):
    monkeypatch.setattr(pages, "STATM", "/nowhere/statm")
    assert not pages.gather_if_grown()


def test_a_run_looks_after_it_every_so_many_events(monkeypatch):
    looked = []
    monkeypatch.setattr(simulation, "gather_if_grown", lambda: looked.append(None))
    with sim.Simulation() as world:
        for number in range(2 * simulation.LOOK_UP_EVERY):
            world.schedule.at(number / 1000, id, None)
        world.run()
    assert len(looked) == 2
