"""Payloads of frames: what a peer may put into them, and what is refused with a reason."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.errors import ProtocolError
from rpcnet.wire.frame import (
    OPEN_HEAD,
    Hello,
    decode_ending,
    decode_goaway,
    decode_hello,
    decode_metadata,
    decode_number,
    decode_open,
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
        ({"stream_window_bytes": 1023}, "nothing fits into"),
        ({"connection_window_bytes": 0}, "nothing fits into"),
        ({"max_frame_bytes": 10}, "nothing fits into"),
        ({"max_streams": 0}, "nothing fits into"),
        ({"max_message_bytes": 0}, "nothing fits into"),
        ({"max_metadata_bytes": -1}, "nothing fits into"),
        ({"connection": "x" * 65}, "nothing fits into"),
    ],
)
def test_a_hello_that_cannot_be_is_refused_with_a_reason(changed: dict[str, object], text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        decode_hello(msgspec.msgpack.encode({**HELLO, **changed}))


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
        (opened(shape=4), "shape in it is wrong"),
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


@given(st.binary(max_size=60))
def test_any_payload_is_read_or_refused(payload: bytes) -> None:
    for decode in (
        decode_hello,
        decode_ending,
        decode_metadata,
        decode_number,
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
