"""Payloads of frames: what a peer may put into them, and what is refused with a reason."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.config import HELLO_LIMITS
from rpcnet.errors import ProtocolError
from rpcnet.wire import writer
from rpcnet.wire.frame import (
    ARGUMENTS,
    BIDIRECTIONAL,
    CLIENT_STREAMING,
    GOAWAY,
    HEADER,
    HEADER_BYTES,
    ITEM_COST,
    MAX_GOAWAY_BYTES,
    MAX_METHOD_BYTES,
    MAX_NAME_CHARACTERS,
    MAX_TEXT_BYTES,
    MOST_SHARED,
    OPEN_HEAD,
    PING,
    PONG,
    Ending,
    Hello,
    check_token,
    decode_cancel,
    decode_ending,
    decode_goaway,
    decode_hello,
    decode_metadata,
    decode_number,
    decode_open,
    shared,
)

HELLO = {
    "max_message_bytes": 1 << 20,
    "max_frame_bytes": 1 << 17,
    "max_metadata_bytes": 1000,
    "max_streams": 10,
    "stream_window_bytes": 1 << 16,
    "connection_window_bytes": 1 << 20,
}


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"max_message_bytes": "many"}, "cannot be read"),
        ({"min_version": 2, "max_version": 3}, "versions 2 to 3"),
        ({"max_version": 0, "min_version": 0}, "versions 0 to 0"),
        ({"max_frame_bytes": 4096.0}, "cannot be read"),
        ({"max_streams": None}, "cannot be read"),
        ({"features": [1]}, "cannot be read"),
        ({"connection": "x" * 65}, "connection has 65 characters; it must have at most 64"),
    ],
)
def test_a_hello_that_cannot_be_is_refused_with_a_reason(changed: dict[str, object], text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        decode_hello(msgspec.msgpack.encode({**HELLO, **changed}))


@pytest.mark.parametrize("name", HELLO_LIMITS)
def test_a_limit_of_hello_outside_its_bounds_is_named(name: str) -> None:
    least, most = HELLO_LIMITS[name]
    for value in (least, most):
        assert getattr(decode_hello(msgspec.msgpack.encode({**HELLO, name: value})), name) == value
    for value in (least - 1, most + 1, 2**64 - 1):
        with pytest.raises(ProtocolError, match=f"{name} is {value}; it must be {least} to {most}"):
            decode_hello(msgspec.msgpack.encode({**HELLO, name: value}))


@pytest.mark.parametrize("name", HELLO)
def test_each_limit_must_be_in_a_hello(name: str) -> None:
    with pytest.raises(ProtocolError, match=name):
        decode_hello(msgspec.msgpack.encode({key: value for key, value in HELLO.items() if key != name}))


def test_what_is_no_limit_may_be_left_out_of_hello() -> None:
    hello = decode_hello(msgspec.msgpack.encode(HELLO))
    assert (hello.min_version, hello.max_version, hello.features, hello.node, hello.connection) == (1, 1, [], "", "")


def test_a_newer_peer_may_say_more() -> None:
    hello = decode_hello(msgspec.msgpack.encode({**HELLO, "max_version": 9, "compression": ["zstd"]}))
    assert isinstance(hello, Hello)
    assert hello.max_streams == 10


def opened(shape: int = 0, method: bytes = b"m", metadata: bytes = b"", body: bytes = b"", **lengths: int) -> bytes:
    head = OPEN_HEAD.pack(
        shape, lengths.get("method_bytes", len(method)), lengths.get("metadata_bytes", len(metadata)), 7
    )
    return head + method + metadata + body


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"", "cut short"),
        (opened()[:10], "cut short"),
        (opened(method=b"\xff"), "not UTF-8"),
        *((opened(shape=shape), "shape in it is wrong") for shape in (4, 6, 8, 9, 13, 255)),
        (opened(method=b""), "a length"),
        (opened(method=b"m" * 1025), "a length"),
        (opened(method_bytes=9), "a length"),
        (opened(metadata_bytes=9), "a length"),
        (opened(metadata=bytes(1001)), "exceed max_metadata_bytes"),
        (opened(metadata=b"\x93"), "metadata cannot be read"),
        (opened(metadata=b"\x81\xa1a\x01"), "neither text nor bytes"),
        (opened(metadata=b"\x91" * 900), "metadata cannot be read"),
        (opened(metadata=b"\x81\xa2\x00\x80"), "metadata cannot be read"),
    ],
)
def test_an_open_that_cannot_be_is_refused_with_a_reason(payload: bytes, text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        decode_open(payload, 1000)


def test_an_open_is_read_whole() -> None:
    payload = opened(3, b"caf\xc3\xa9", b"\x81\xa1a\xc4\x01b", b"body")
    assert decode_open(payload, 1000) == (3, "café", {"a": b"b"}, 7, b"body")


def test_an_open_may_announce_arguments_where_the_caller_streams() -> None:
    assert [decode_open(opened(shape=shape), 1000)[0] for shape in (1 | ARGUMENTS, 3 | ARGUMENTS)] == [5, 7]


def test_a_cancel_is_one_byte_with_a_status() -> None:
    assert [decode_cancel(bytes([status])) for status in range(1, 17)] == list(range(1, 17))
    for status in (0, 17, 255):
        with pytest.raises(ProtocolError, match=f"status {status}; it must be 1 to 16"):
            decode_cancel(bytes([status]))
    for payload in (b"", b"\x01\x01"):
        with pytest.raises(ProtocolError, match=f"{len(payload)} bytes of payload instead of 1"):
            decode_cancel(payload)


def test_ping_and_pong_carry_eight_bytes() -> None:
    for kind, name in ((PING, "PING"), (PONG, "PONG")):
        check_token(kind, bytes(8))
        for size in (0, 7, 9):
            with pytest.raises(ProtocolError, match=f"{name} has {size} bytes of payload instead of 8"):
                check_token(kind, bytes(size))


@pytest.mark.parametrize(
    ("elements", "read"),
    [
        ([], Ending()),
        ([5], Ending(5)),
        ([5, "gone"], Ending(5, "gone")),
        ([5, "gone", b"d"], Ending(5, "gone", b"d")),
        ([5, "gone", b"d", {"a": b"b", "c": "d"}], Ending(5, "gone", b"d", {"a": b"b", "c": "d"})),
        ([5, "gone", b"d", {}, "what a later version adds", [1]], Ending(5, "gone", b"d", {})),
        ([17], Ending(17)),
        ([-1], Ending(-1)),
    ],
)
def test_an_end_may_have_fewer_or_more_elements(elements: list[object], read: Ending) -> None:
    assert decode_ending(msgspec.msgpack.encode(elements)) == read


@pytest.mark.parametrize(
    "elements",
    [
        ["5"],
        [5.5],
        [None],
        [5, b"bytes"],
        [5, "", "text"],
        [5, "", b"", []],
        [5, "", b"", {1: "x"}],
        [5, "", b"", {"x": 1}],
        [5, "", b"", {"x": None}],
        [5, "", b"", {"x": ["y"]}],
        {"status": 5},
        5,
    ],
)
def test_an_end_whose_elements_have_other_types_is_refused(elements: object) -> None:
    with pytest.raises(ProtocolError, match="cannot be read"):
        decode_ending(msgspec.msgpack.encode(elements))


def test_an_open_may_be_as_large_as_its_limits() -> None:
    longest = opened(method=b"m" * 1024, metadata=b"\x81\xa1a\xda\x03\xe2" + b"x" * 994)
    method, metadata = decode_open(longest, 1000)[1:3]
    assert (len(method), len(metadata["a"])) == (1024, 994)


def test_limits_that_both_ends_must_agree_on_stay_what_they_are() -> None:
    """Another number would be another protocol: peers would break rules that they have never heard of."""
    assert (ITEM_COST, MAX_METHOD_BYTES, MAX_NAME_CHARACTERS) == (64, 1024, 64)
    assert (MAX_TEXT_BYTES, MAX_GOAWAY_BYTES) == (4096, 1024)


def test_numbers_and_farewells_are_read_from_the_fewest_bytes() -> None:
    assert decode_number(b"\x01\x02\x03\x04") == 0x01020304
    assert decode_goaway(b"\x00\x00\x01\x02\x08") == (0x0102, 8, "")


def test_an_empty_end_is_ok_without_anything() -> None:
    for payload in (b"", b"\x90"):
        ending = decode_ending(payload)
        assert (ending.status, ending.message, ending.details, ending.trailers) == (0, "", b"", {})


def test_the_name_of_a_connection_may_have_64_characters() -> None:
    assert decode_hello(msgspec.msgpack.encode({**HELLO, "connection": "ö" * 64})).connection == "ö" * 64


@given(st.binary(max_size=60))
def test_any_payload_is_read_or_refused(payload: bytes) -> None:
    for decode in (
        decode_hello,
        decode_ending,
        decode_metadata,
        decode_number,
        decode_cancel,
        decode_goaway,
        lambda data: decode_open(data, 20),
    ):
        try:
            decode(payload)
        except ProtocolError:
            pass


def test_endings_numbers_and_farewells_that_cannot_be_are_refused() -> None:
    for wrong in (b"\xc1", b"\x91\xa1x", b"\x94\x00\xa0\xc4\x00\x81\xa1a\x01"):
        with pytest.raises(ProtocolError):
            decode_ending(wrong)
    with pytest.raises(ProtocolError, match="instead of 4"):
        decode_number(b"abc")
    with pytest.raises(ProtocolError, match="cut short"):
        decode_goaway(b"abcd")
    assert decode_goaway(b"\x00\x00\x00\x07\x00\xffx")[2] == "\ufffdx"


@pytest.mark.parametrize("text", ["a short one", "ü" * 3000, "x" + "😀" * 3000, "\ud800 is no text", ""])
def test_a_goaway_fits_into_the_smallest_frame(text: str) -> None:
    frame = writer.goaway(7, 13, text)
    length, kind, _, _ = HEADER.unpack_from(frame)
    assert (length, kind) == (len(frame) - HEADER_BYTES, GOAWAY)
    assert length <= MAX_GOAWAY_BYTES <= HELLO_LIMITS["max_frame_bytes"][0]
    last, status, read = decode_goaway(frame[HEADER_BYTES:])
    assert (last, status) == (7, 13)
    assert text.replace("\ud800", "?").startswith(read)  # cut between two characters
    assert len(read.encode()) > 1000 or len(text.encode("utf-8", "replace")) < 1000


def test_peers_of_the_same_limits_share_what_they_said() -> None:
    hellos = [decode_hello(msgspec.msgpack.encode({**HELLO, "connection": name, "node": name})) for name in "ab"]
    assert shared(hellos[0]) is shared(hellos[1])
    assert shared(hellos[0]) == msgspec.structs.replace(hellos[0], connection="", node="")
    other = msgspec.structs.replace(hellos[0], max_streams=hellos[0].max_streams + 1)
    assert shared(other) is not shared(hellos[0])
    assert shared(other).max_streams == hellos[0].max_streams + 1


def test_peers_that_say_something_else_each_time_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[bytes, Hello] = {}
    monkeypatch.setattr("rpcnet.wire.frame._shared", kept)
    hello = decode_hello(msgspec.msgpack.encode(HELLO))
    for number in range(1, 2 * MOST_SHARED):
        assert shared(msgspec.structs.replace(hello, max_streams=number)).max_streams == number
    assert len(kept) == MOST_SHARED
    kept.clear()
    assert shared(msgspec.structs.replace(hello, features=["x" * 1000])).features
    assert not kept


@pytest.mark.parametrize("size", [0, 1, 31, 32, 255, 256, 65_535, 65_536])
def test_values_of_metadata_are_read_in_each_of_their_sizes(size: int) -> None:
    """MessagePack has four heads for text, and three for bytes."""
    for value in ("x" * size, b"x" * size):
        assert decode_metadata(msgspec.msgpack.encode({"key": value})) == {"key": value}


@pytest.mark.parametrize(
    "other",
    [
        b"\x9f" + b"\x01" * 15,
        b"\xc0",
        b"\xc3",
        b"\xc7\x01\x05x",
        b"\xd8\x05" + b"x" * 16,
        b"\xd4\x05x",
        b"\xdc\x00\x01\x01",
        b"\x7f",
        b"\x81\x01\x01",
    ],
)
def test_a_value_of_metadata_whose_head_is_near_is_refused(other: bytes) -> None:
    with pytest.raises(ProtocolError, match="neither text nor bytes"):
        decode_metadata(b"\x81\xa3key" + other)


def test_the_shape_of_a_call_with_arguments_is_that_of_the_page() -> None:
    assert [shape | ARGUMENTS for shape in (CLIENT_STREAMING, BIDIRECTIONAL)] == [5, 7]
    assert ARGUMENTS == 4
