"""Traces that are kept: compressed, read like any other, whole or said to be cut off."""

import errno
import gzip
import hashlib
import os

import pytest

from sim.trace import Trace, TraceError, read
from sim.trace.keep import keep
from sim.trace.reader import torn_end


@pytest.fixture
def written(tmp_path):
    """A trace of a thousand events as a run writes it, and its digest."""
    path = tmp_path / "written"
    with Trace(path) as trace:
        for number in range(1000):
            trace.record(number / 2, "n", "said", 0, text=f"{number * 7919 % 1000}", number=number)
        return path, trace.digest()


def test_it_is_read_as_what_it_was_made_of_and_takes_half_the_bytes(written, tmp_path):
    path, digest = written
    kept = tmp_path / "kept"
    keep(path, kept)
    assert list(read(kept)) == list(read(path))
    assert kept.stat().st_size < path.stat().st_size / 2
    assert hashlib.blake2b(gzip.decompress(kept.read_bytes()), digest_size=16).hexdigest() == digest
    assert torn_end(kept) is None


def test_in_its_own_place_and_again_it_is_the_same(written, tmp_path):
    path, _ = written
    before = list(read(path))
    keep(path, path)
    once = path.read_bytes()
    link = tmp_path / "link"
    link.symlink_to(path)
    keep(path, link)
    assert link.is_symlink() and path.read_bytes() == once
    assert list(read(path)) == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "written"]


def test_what_a_living_trace_copies_is_what_it_has_so_far(tmp_path):
    with Trace(tmp_path / "trace") as trace:
        trace.record(1.0, "n", "said")
        trace.copy_to(tmp_path / "copy")
        trace.record(2.0, "n", "said")
        assert [event.time for event in trace] == [1.0, 2.0]
    assert [event.time for event in read(tmp_path / "copy")] == [1.0]
    assert torn_end(tmp_path / "copy") is None


def test_one_that_is_cut_off_is_read_up_to_there_and_said_to_be(written, tmp_path):
    path, _ = written
    cut = tmp_path / "cut"
    keep(path, path)
    data = path.read_bytes()
    for size in (1, 5, 30, len(data) // 2, len(data) - 9, len(data) - 1):
        cut.write_bytes(data[:size])
        events = list(read(cut))
        assert torn_end(cut) == (len(events), events[-1].time if events else 0.0)
    assert len(events) == 1000


@pytest.mark.parametrize("behind", [b"x", b"\0" * 100_000, gzip.compress(b"another")], ids=["byte", "zeros", "file"])
def test_what_is_behind_the_end_is_a_trace_error(written, behind):
    path, _ = written
    keep(path, path)
    path.write_bytes(path.read_bytes() + behind)
    with pytest.raises(TraceError, match="broken after event 1000: the file goes on behind the end of its trace"):
        list(read(path))
    assert torn_end(path) is None


def test_a_flipped_bit_is_a_trace_error(written, tmp_path):
    path, _ = written
    keep(path, path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(TraceError, match="broken after event"):
        list(read(path))


def test_a_full_disk_leaves_what_was_there(written, tmp_path, monkeypatch):
    path, _ = written
    before = path.read_bytes()

    def full(source, out):
        out.write(b"begun")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("sim.trace.keep.compress", full)
    with pytest.raises(OSError, match="No space left"):
        keep(path, path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["written"]
