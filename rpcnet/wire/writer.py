"""The frame writer: values in, the bytes of one frame out.

Knows the layout and nothing else; every frame that leaves is packed here.

Tests: tests/rpcnet/wire/test_frame.py and test_golden.py.
"""

import msgspec

from rpcnet.wire.frame import (
    CANCEL,
    CREDIT,
    END,
    GOAWAY,
    GOAWAY_HEAD,
    HEADER,
    HELLO,
    ITEM,
    MAX_GOAWAY_BYTES,
    METADATA,
    NUMBER,
    OPEN,
    OPEN_HEAD,
    PREFACE,
    Ending,
    Hello,
)

__all__ = ["cancel", "credit", "end", "goaway", "greeting", "item", "metadata", "open_call", "ping"]

_encode = msgspec.msgpack.Encoder().encode
_pack = HEADER.pack
_OK_END = Ending()


def greeting(hello: Hello) -> bytes:
    """The preface and HELLO: what each side sends first."""
    payload = _encode(hello)
    return PREFACE + _pack(len(payload), HELLO, 0, 0) + payload


def open_call(stream: int, flags: int, shape: int, method: bytes, metadata: bytes, micros: int, body: bytes) -> bytes:
    """OPEN. `method` is UTF-8, `metadata` encoded or empty, `micros` the remaining deadline (0 = none)."""
    head = OPEN_HEAD.pack(shape, len(method), len(metadata), micros)
    length = len(head) + len(method) + len(metadata) + len(body)
    return b"".join((_pack(length, OPEN, flags, stream), head, method, metadata, body))


def item(stream: int, flags: int, payload: bytes | memoryview) -> bytes:
    return _pack(len(payload), ITEM, flags, stream) + payload


def end(stream: int, ending: Ending = _OK_END) -> bytes:
    """END, as short as its fields allow."""
    payload = b"" if ending == _OK_END else _encode(ending)
    return _pack(len(payload), END, 0, stream) + payload


def metadata(stream: int, payload: bytes) -> bytes:
    """METADATA; `payload` is encoded already."""
    return _pack(len(payload), METADATA, 0, stream) + payload


def cancel(stream: int, status: int) -> bytes:
    return _pack(1, CANCEL, 0, stream) + bytes((status,))


def credit(stream: int, amount: int) -> bytes:
    return _pack(NUMBER.size, CREDIT, 0, stream) + NUMBER.pack(amount)


def ping(kind: int, token: bytes) -> bytes:
    """PING or its PONG; the token comes back as it was sent."""
    return _pack(len(token), kind, 0, 0) + token


def goaway(last: int, status: int, text: str) -> bytes:
    """GOAWAY. A text that does not fit is cut between two characters."""
    room = MAX_GOAWAY_BYTES - GOAWAY_HEAD.size
    cut = text.encode("utf-8", "replace")[:room].decode("utf-8", "ignore")
    payload = GOAWAY_HEAD.pack(last, status) + cut.encode()
    return _pack(len(payload), GOAWAY, 0, 0) + payload
