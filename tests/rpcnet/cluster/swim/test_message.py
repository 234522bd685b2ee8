"""The bytes of the cluster: golden vectors, and whatever else comes in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.cluster.swim.message import (
    MAX_NUMBER,
    Ack,
    Alive,
    BadPacket,
    Dead,
    Header,
    IndirectPing,
    Left,
    Nack,
    Packet,
    Ping,
    Record,
    Refused,
    State,
    Suspect,
    Tags,
    decode,
    encode,
    encode_message,
    sender_of,
)

# Changing a vector is changing the protocol: then VERSION changes too.
GOLDEN = [
    (Ping(7, "b", 9), "94 01 07 a1 62 09"),
    (IndirectPing(7, "b", "h:1"), "94 02 07 a1 62 a3 68 3a 31"),
    (Ack(7), "92 03 07"),
    (Nack(7), "92 04 07"),
    (
        Alive("b", 1, 2, "h:1", {"r": "x"}, 3, {"k": "v"}),
        "98 05 a1 62 01 02 a3 68 3a 31 81 a1 72 a1 78 03 81 a1 6b a1 76",
    ),
    (Suspect("b", 1, 2, "a"), "95 06 a1 62 01 02 a1 61"),
    (Dead("b", 1, 2, "a"), "95 07 a1 62 01 02 a1 61"),
    (Left("b", 1, 2), "94 08 a1 62 01 02"),
    (Tags("b", 1, 3, {}), "95 09 a1 62 01 03 80"),
    (Refused("no"), "92 0d a2 6e 6f"),
    (State([Record("b", 1, 2, 0, "h:1", {}, 0, {}, 5)]), "92 0a 91 99 a1 62 01 02 00 a3 68 3a 31 80 00 80 05"),
]


@pytest.mark.parametrize(("message", "golden"), GOLDEN, ids=lambda value: type(value).__name__)
def test_a_message_has_these_bytes_and_comes_back(message, golden):
    raw = encode_message(message)
    assert bytes(raw).hex(" ") == golden
    assert decode(encode("c", "a", 5, [raw])) == Packet(1, "c", "a", 5, [message])


def test_a_packet_has_these_bytes():
    assert encode("c", "a", 5, [encode_message(Ack(7))]).hex(" ") == "95 01 a1 63 a1 61 05 91 92 03 07"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_packet_or_bad(data):
    try:
        assert isinstance(decode(data), Packet)
    except BadPacket:
        pass


@pytest.mark.parametrize(
    "message",
    [
        Ping(-1, "b", 0),
        Ping(2**32, "b", 0),
        Ping(1, "", 0),
        Ping(1, "x" * 129, 0),
        Suspect("b", MAX_NUMBER + 1, 0, "a"),
        Dead("b", 0, -1, "a"),
        Tags("b", 0, 0, {"k": "v" * 65_536}),
        Tags("b", 0, 0, {"k" * 129: "v"}),
        Refused("x" * 256),
        Tags("b", 0, 0, {"": "v"}),
        State([Record("b", 1, 2, 4, "h:1", {}, 0, {}, 5)]),
    ],
)
def test_values_outside_their_limits_are_bad(message):
    with pytest.raises(BadPacket):
        decode(encode("c", "a", 5, [encode_message(message)]))


def test_deep_nesting_is_bad_not_a_crash():
    with pytest.raises(BadPacket):
        decode(b"\x91" * 100_000)


def test_a_promise_of_many_elements_is_bad_and_costs_nothing():
    with pytest.raises(BadPacket):
        decode(bytes.fromhex("95 01 a1 63 a1 61 05 dd ff ff ff ff"))


def test_the_sender_of_a_packet_that_does_not_decode_is_known_by_its_beginning():
    data = encode("c", "a", 5, [encode_message(Ping(-1, "b", 0))])
    with pytest.raises(BadPacket):
        decode(data)
    assert sender_of(data) == Header(1, "c", "a", 5)
    assert sender_of(data[:5]) is None
    assert sender_of(b"\x91" * 100_000) is None
