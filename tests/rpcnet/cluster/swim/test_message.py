"""The bytes of the cluster: golden vectors, and whatever else comes in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from rpcnet.cluster.swim import message
from rpcnet.cluster.swim.message import (
    MAX_NUMBER,
    VERSION,
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
    Rows,
    State,
    Summary,
    Suspect,
    Tags,
    decode,
    encode,
    encode_message,
    encode_state,
    sender_of,
    shared,
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
    (Summary([7, 9]), "92 0b 92 07 09"),
    (
        Rows([Record("b", 1, 2, 0, "h:1", {}, 0, {}, 5)], [3]),
        "93 0c 91 99 a1 62 01 02 00 a3 68 3a 31 80 00 80 05 91 03",
    ),
]


@pytest.mark.parametrize(("value", "golden"), GOLDEN, ids=lambda value: type(value).__name__)
def test_a_message_has_these_bytes_and_comes_back(value, golden):
    raw = encode_message(value)
    assert bytes(raw).hex(" ") == golden
    assert decode(encode("c", "a", 5, [raw])) == Packet(VERSION, "c", "a", 5, [value])


def test_a_packet_has_these_bytes():
    assert encode("c", "a", 5, [encode_message(Ack(7))]).hex(" ") == "95 02 a1 63 a1 61 05 91 c4 03 92 03 07"


def test_equal_news_is_one_object():
    data = encode("c", "a", 5, [encode_message(Alive("b", 1, 2, "h:1", {}, 3, {"k": "v"}))])
    assert decode(data).messages[0] is decode(data).messages[0]
    rows = encode("c", "a", 5, [encode_message(State([Record("b", 1, 2, 0, "h:1", {}, 0, {}, 0)]))])
    first, second = decode(rows).messages[0], decode(rows).messages[0]
    assert first.records[0] is second.records[0]
    assert first.records[0].alive is second.records[0].alive


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(message, "REMEMBERED", 10)
    for number in range(100):
        decode(encode("c", "a", 5, [encode_message(Left("b", number, 2))]))
        assert len(message._news) <= 10


def test_a_row_is_the_record_of_its_member():
    alive = Alive("b", 1, 2, "h:1", {"r": "x"}, 3, {"k": "v"})
    (table,) = decode(encode("c", "a", 5, [encode_state([alive.row])])).messages
    assert table.records == [Record("b", 1, 2, 0, "h:1", {"r": "x"}, 3, {"k": "v"}, 0)]
    assert table.records[0].alive == alive


@given(st.binary(max_size=200))
def test_any_bytes_are_a_packet_or_bad(data):
    try:
        assert isinstance(decode(data), Packet)
    except BadPacket:
        pass


@pytest.mark.parametrize(
    "value",
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
        Summary([]),
        Summary([0] * 257),
        Summary([2**56]),
        Rows([], [256]),
        State([Record("b", 1, 2, 4, "h:1", {}, 0, {}, 5)]),
    ],
)
def test_values_outside_their_limits_are_bad(value):
    with pytest.raises(BadPacket):
        decode(encode("c", "a", 5, [encode_message(value)]))


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
    assert sender_of(data) == Header(VERSION, "c", "a", 5)
    assert sender_of(data[:5]) is None
    assert sender_of(b"\x91" * 100_000) is None


def test_a_record_with_other_tags_is_one_object_for_all_that_hold_it():
    record = Alive("b", 1, 0, "10.0.0.2:1", {}, 0, {})
    tagged = record.tagged(1, {"role": "worker"})
    assert tagged is record.tagged(1, {"role": "worker"}) is shared(Alive(*structs.astuple(tagged)))
    assert record.tagged(2, {"role": "worker"}).version == 2
    assert record.tagged(2, {"role": "other"}).tags == {"role": "other"}
    assert record.tags == {}
