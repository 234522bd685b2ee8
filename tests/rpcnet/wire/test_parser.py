"""The parser: any bytes give frames or one error, and where they are cut changes nothing."""

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.wire import writer
from rpcnet.wire.frame import FLAG_MORE, HEADER, ITEM, PREFACE
from rpcnet.wire.parser import Parser

FRAMES = st.lists(
    st.tuples(st.integers(1, 10), st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=50)), max_size=8
)
CUTS = st.lists(st.integers(0, 600), max_size=12)


def encoded(frames) -> bytes:
    return b"".join(HEADER.pack(len(payload), kind, flags, stream) + payload for kind, flags, stream, payload in frames)


def feed(data: bytes, cuts: list[int], limit: int = 64):
    """What comes out, and the error, of data that arrives in pieces."""
    parser = Parser(limit)
    frames = []
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    for start, stop in pairwise(places):
        frames += parser.receive(data[start:stop])
    return frames, str(parser.error) if parser.error else None, parser.pending_bytes if not parser.error else 0


@given(FRAMES, CUTS)
def test_frames_come_out_as_they_went_in_wherever_the_bytes_are_cut(frames, cuts) -> None:
    assert feed(PREFACE + encoded(frames), cuts) == (frames, None, 0)


@given(st.binary(max_size=300), CUTS, st.booleans())
def test_any_bytes_give_frames_or_an_error_and_the_same_wherever_they_are_cut(data, cuts, greets) -> None:
    data = PREFACE + data if greets else data
    whole, in_pieces = feed(data, []), feed(data, cuts)
    if whole[1] is not None and not greets:
        # The text quotes what had come so far; that there is an error does not depend on it.
        assert in_pieces[1] is not None
        assert whole[0] == in_pieces[0] == []
    else:
        assert whole == in_pieces


SIZES = st.lists(st.sampled_from([0, 5, 9_000, 16_384, 20_000, 70_000]), max_size=6)


@given(SIZES, st.lists(st.integers(1, 100_000), min_size=1, max_size=6))
def test_nothing_of_a_buffer_that_is_read_into_again_is_kept(sizes, reads) -> None:
    """As a connection reads: all into one buffer, by views of it, large bodies straight out of it."""
    frames = [(ITEM, 0, number, bytes([number + 1]) * size) for number, size in enumerate(sizes)]
    data = PREFACE + encoded(frames)
    parser = Parser(70_000)
    shared = bytearray(100_000)
    view = memoryview(shared)
    seen = []
    at = turn = 0
    while at < len(data):
        count = min(reads[turn % len(reads)], len(data) - at)
        shared[:count] = data[at : at + count]
        seen += parser.receive(view[:count])
        shared[:count] = bytes(count)
        at += count
        turn += 1
        starts = len(PREFACE)
        for _, _, _, payload in frames:
            if at < starts + HEADER.size + len(payload):
                break
            starts += HEADER.size + len(payload)
        assert parser.pending_bytes == at - (starts if at >= len(PREFACE) else 0)
    assert seen == frames
    assert all(type(payload) is bytes for _, _, _, payload in seen)
    assert parser.error is None


def test_a_preface_that_was_cut_is_completed_by_a_large_read() -> None:
    parser = Parser(70_000)
    frame = writer.item(1, 0, bytes(20_000))
    assert parser.receive(PREFACE[:3]) == []
    assert parser.receive(memoryview(PREFACE[3:] + frame)) == [(ITEM, 0, 1, bytes(20_000))]


def test_a_frame_too_large_is_refused_however_its_header_comes() -> None:
    frame = HEADER.pack(1001, ITEM, 0, 1) + bytes(20_000)
    for cut in (1, HEADER.size - 1):
        parser = Parser(1000)
        assert parser.receive(PREFACE + frame[:cut]) == []
        assert parser.receive(memoryview(frame)[cut:]) == []
        assert "exceeds what this end accepts (1000)" in str(parser.error)
        assert parser.pending_bytes == 0


def test_frames_before_a_mistake_are_handed_out_and_nothing_after_it() -> None:
    parser = Parser(10)
    good = writer.item(1, 0, b"x")
    assert len(parser.receive(PREFACE + good + HEADER.pack(11, ITEM, 0, 1) + good)) == 1
    assert "exceeds what this end accepts (10)" in str(parser.error)
    assert parser.receive(good) == []


def test_a_false_length_is_judged_before_anything_is_buffered() -> None:
    parser = Parser(1000)
    assert parser.receive(PREFACE + HEADER.pack(2**32 - 1, ITEM, 0, 1)) == []
    assert parser.error is not None
    assert parser.pending_bytes == 0


def test_types_that_are_not_known_are_skipped_by_length() -> None:
    parser = Parser(1000)
    frames = parser.receive(PREFACE + HEADER.pack(3, 77, 0, 1) + b"abc" + writer.item(1, 0, b"x"))
    assert frames == [(ITEM, 0, 1, b"x")]
    assert parser.receive(HEADER.pack(3, 77, 0, 1) + b"a") == []
    assert parser.receive(b"bc" + writer.item(1, 0, b"y")) == [(ITEM, 0, 1, b"y")]


@given(FRAMES, CUTS)
def test_each_frame_that_is_cut_counts_once(frames, cuts) -> None:
    """However many reads a frame takes, it counts when its first byte comes, and only if it did not come whole."""
    data = PREFACE + encoded(frames)
    parser = Parser(64)
    starts = [len(PREFACE)]
    for _, _, _, payload in frames:
        starts.append(starts[-1] + HEADER.size + len(payload))
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    counted = 0
    for start, stop in pairwise(places):
        parser.receive(data[start:stop])
        begun = max((place for place in starts if place < stop), default=None)
        if begun is not None and begun >= start and stop not in starts:
            counted += 1
        assert parser.cut_frames == counted
        if begun is not None and stop not in starts:
            assert parser.pending_bytes == stop - begun


def test_a_wrong_preface_is_known_at_its_first_byte() -> None:
    parser = Parser(1000)
    assert parser.receive(b"G") == []
    assert "does not speak rpcnet" in str(parser.error)


def test_a_preface_in_single_bytes_is_read() -> None:
    parser = Parser(1000)
    for byte in PREFACE[:-1]:
        assert parser.receive(bytes([byte])) == []
        assert parser.error is None
    assert parser.receive(PREFACE[-1:] + writer.item(1, 0, b"x")) == [(ITEM, 0, 1, b"x")]


class Counting(bytearray):
    """Counts what is copied into it and out of it."""

    copied = 0

    def __iadd__(self, data):
        self.copied += len(data)
        return super().__iadd__(data)

    def __bytes__(self):
        self.copied += len(self)
        return bytes(memoryview(self))


@pytest.mark.parametrize(
    ("size", "step"), [(1 << 18, 1), (1 << 24, 1 << 10), (1 << 24, 1 << 16), (1 << 24, 1 << 18), (1 << 24, 1000_003)]
)
def test_parsing_is_linear_in_bytes_whatever_the_size_of_the_reads(size: int, step: int) -> None:
    """A message of many parts: no byte is copied more than five times on its way through the buffer."""
    part = 1 << 16
    data = PREFACE + b"".join(writer.item(1, FLAG_MORE, bytes(part)) for _ in range(size // part))
    parser = Parser(part)
    buffer = parser._buffer = Counting()
    frames = 0
    for at in range(0, len(data), step):
        frames += len(parser.receive(data[at : at + step]))
    assert frames == size // part
    assert buffer.copied <= 5 * len(data)


LARGE = writer.item(1, 0, bytes(1 << 20))


@pytest.mark.parametrize(
    ("before", "read", "copies"),
    [
        pytest.param(b"", LARGE, 0, id="a large body comes straight out of the read"),
        pytest.param(LARGE[:11], LARGE[11:], 1, id="it is gathered where it began in an earlier read"),
        pytest.param(b"", writer.item(1, 0, bytes(100)) * 10_000, 1, id="small ones are slices of a copy"),
        pytest.param(b"", writer.item(1, 0, bytes(100)) * 100, 1, id="also out of a small read"),
        pytest.param(writer.item(1, 0, b"x")[:8], b"x" + writer.item(1, 0, bytes(100)) * 1000, 1, id="or after a rest"),
    ],
)
def test_a_read_is_copied_as_a_whole_for_small_frames_alone(before: bytes, read: bytes, copies: int) -> None:
    """A view costs more to slice than bytes: it pays for large bodies, of which each copy shows, and for no others."""
    parser = Parser(1 << 20)
    parser.receive(PREFACE + before)
    tracemalloc.start()
    try:
        frames = parser.receive(memoryview(read))
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert frames
    assert copies <= (most - kept) / len(read) < copies + 0.5


@pytest.mark.parametrize(
    ("opening", "text"),
    [
        (b"\x16\x03\x01\x02\x00\x01", "opened with a TLS handshake, but this end has no TLS"),
        (b"\x16", "opened with a TLS handshake"),
        (b"\x15\x03\x03\x00\x02\x02\x46", "answered with a TLS alert, so it takes TLS alone"),
        (b"\x15\x04", r"does not speak rpcnet: it opened with b'\x15\x04'"),
        (b"HTTP/1.1 400 Bad Request", "does not speak rpcnet: it opened with b'HTTP/1.1'"),
    ],
)
def test_a_foreign_opening_is_named_for_what_it_is(opening: bytes, text: str) -> None:
    parser = Parser(1000)
    assert parser.receive(opening) == []
    assert text in str(parser.error)


def test_a_frame_that_comes_in_many_reads_is_counted_once() -> None:
    """By this count a connection tells a peer that drips one frame from one that sends many."""
    parser = Parser(1000)
    counts = []
    frame = writer.item(1, 0, b"abc")
    reads = [PREFACE[:3], PREFACE[3:], frame, frame[:1], frame[1:9], frame[9:12], frame[12:], frame + frame[:5]]
    for data in reads:
        parser.receive(data)
        counts.append((parser.cut_frames, parser.pending_bytes))
    assert counts == [(0, 3), (0, 0), (0, 0), (1, 1), (1, 9), (1, 12), (1, 0), (2, 5)]
    parser.receive(frame[5:] + frame + frame[:2])
    assert (parser.cut_frames, parser.pending_bytes) == (3, 2), "one ends here, another one begins"


def test_a_frame_that_is_cut_in_the_read_of_the_preface_is_counted() -> None:
    for first in (b"", PREFACE[:5]):
        parser = Parser(1000)
        if first:
            parser.receive(first)
        parser.receive(PREFACE[len(first) :] + writer.item(1, 0, b"abc")[:4])
        assert (parser.cut_frames, parser.pending_bytes) == (1, 4)
