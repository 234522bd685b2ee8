"""Framing, and plain packets: a checksum finds damage."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.cluster.seal.checksummed import Checksummed
from rpcnet.cluster.seal.envelope import RECORD_BYTES, Answering, Asking
from rpcnet.cluster.seal.unopened import Reason, Unopened

PLAIN = Checksummed()


def reason(open_, data: bytes) -> Reason:
    with pytest.raises(Unopened) as caught:
        open_(data)
    return caught.value.reason


@given(st.binary(max_size=1400), st.data())
def test_one_flipped_bit_of_a_plain_datagram_is_found(packet: bytes, data) -> None:
    datagram = PLAIN.seal(packet, "b")
    assert len(datagram) == len(packet) + PLAIN.overhead
    assert PLAIN.open(datagram) == packet
    at = data.draw(st.integers(0, len(datagram) * 8 - 1))
    flipped = bytearray(datagram)
    flipped[at // 8] ^= 1 << at % 8
    found = reason(PLAIN.open, bytes(flipped))
    assert found == Reason.DAMAGED if at >= 8 else found in Reason


@given(st.binary(max_size=64))
def test_any_bytes_are_opened_or_refused(data: bytes) -> None:
    for first in (b"", b"\xd0", b"\xd1", b"\xd2", b"\xe0"):
        for open_ in (PLAIN.open, Answering(PLAIN, 100).receive, Asking(PLAIN, b"", None, 100).receive):
            with contextlib.suppress(Unopened):
                open_(first + data)


@given(st.integers(0, 2 * RECORD_BYTES), st.integers(1, 100))
def test_plain_messages_pass_in_any_pieces(size: int, pieces: int) -> None:
    asking, answering = Asking(PLAIN, bytes(size), None, 10**6), Answering(PLAIN, 10**6)
    step = max(1, len(asking.sent) // pieces)
    got = [answering.receive(asking.sent[at : at + step]) for at in range(0, len(asking.sent), step)]
    assert got[-1] == bytes(size) and set(got[:-1]) <= {None}
    assert asking.receive(answering.answer(b"answer")) == b"answer"


def test_a_message_over_the_limit_is_refused_by_its_length() -> None:
    for limit in (0, 9, RECORD_BYTES):
        sent = Asking(PLAIN, bytes(limit + 1), None, 0).sent
        keep = len(sent) - 1 - PLAIN.tag_bytes
        assert reason(Answering(PLAIN, limit).receive, sent[:keep]) == Reason.MALFORMED
        assert Answering(PLAIN, limit + 1).receive(sent) == bytes(limit + 1)


def test_a_record_shorter_than_its_sum_is_refused() -> None:
    assert reason(Answering(PLAIN, 9).receive, b"\xd1\0\0\0\3abc") == Reason.MALFORMED
    assert reason(PLAIN.open, b"\xd0abc") == Reason.DAMAGED
    assert reason(PLAIN.open, b"") == Reason.MALFORMED


def test_only_what_somebody_should_mend_is_told() -> None:
    told = {reason for reason in Reason if Unopened(reason).should_be_told}
    assert told == set(Reason) - {Reason.REPLAYED, Reason.MISDIRECTED, Reason.MALFORMED}
