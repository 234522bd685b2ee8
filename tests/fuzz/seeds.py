"""Writes the corpus that the fuzzers start from: conversations that keep the rules, and some that break one each.

python -m tests.fuzz.seeds
"""

from collections.abc import Iterator
from pathlib import Path

from rpcnet.cluster.swim.message import (
    Ack,
    Alive,
    Closed,
    Dead,
    Gone,
    Holder,
    IndirectPing,
    Knock,
    Left,
    Nack,
    Ping,
    Record,
    Refused,
    Rows,
    State,
    Summary,
    Suspect,
    Tags,
    encode,
    encode_message,
)
from rpcnet.wire import writer
from rpcnet.wire.frame import (
    CANCEL,
    CREDIT,
    END,
    FLAG_END,
    FLAG_ITEM,
    FLAG_MORE,
    FLAG_PACKED,
    GOAWAY,
    GOAWAY_HEAD,
    HEADER,
    HEADER_BYTES,
    ITEM,
    METADATA,
    NUMBER,
    OPEN,
    OPEN_HEAD,
    PING,
    PONG,
)
from tests.fuzz.targets import _hello

CORPUS = Path(__file__).with_name("corpus")
GREETS, SHORT, DEAF = 1, 2, 4


def short(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame as tests.fuzz.targets.frames reads it."""
    return bytes((kind, flags, stream, len(payload))) + payload


def opened(name: bytes, shape: int, stream: int, flags: int, body: bytes = b"", metadata: bytes = b"") -> bytes:
    head = OPEN_HEAD.pack(shape, len(name), len(metadata), 0)
    return short(OPEN, flags, stream, head + name + metadata + body)


def said(bits: int, *frames: bytes, size: int = 255) -> bytes:
    return bytes((bits, size)) + b"".join(frames)


def of_a_client() -> Iterator[tuple[str, bytes]]:
    packed = bytes.fromhex("83a17801a46e616d65c0a46d6f726581a16b920102")
    unary = opened(b"u", 0, 1, FLAG_ITEM | FLAG_END, b"hi")
    typed = opened(b"t", 0, 2, FLAG_ITEM | FLAG_END | FLAG_PACKED, packed)
    upload = opened(b"c", 1, 3, 0), short(ITEM, 0, 3, b"ab"), short(ITEM, FLAG_MORE, 3, b"c"), short(ITEM, FLAG_END, 3)
    watch = opened(b"s", 2, 4, FLAG_ITEM | FLAG_END, b"\x01\xff"), short(CREDIT, 0, 4, NUMBER.pack(500))
    chat = opened(b"b", 3, 5, FLAG_ITEM, b"x", b"\x81\xa1a\xa1b"), short(ITEM, 0, 5, b"y"), short(END, 0, 5)
    yield "all-shapes", said(GREETS | SHORT, unary, typed, *upload, *watch, *chat)
    yield "all-shapes-in-small-reads", said(GREETS | SHORT, unary, typed, *upload, *watch, *chat, size=2)
    yield "reads-nothing", said(GREETS | SHORT | DEAF, *watch, *([short(PING, 0, 0, bytes(8))] * 20))
    yield "lets-go", said(GREETS | SHORT, *chat[:2], short(CANCEL, 0, 5, b"\x01"), *([unary[:2] + b"\x09" + unary[3:]]))
    yield (
        "control",
        said(GREETS | SHORT, short(PING, 0, 0, bytes(8)), short(CREDIT, 0, 0, NUMBER.pack(9)), short(77, 1, 2)),
    )
    yield "twice", said(GREETS | SHORT, unary, unary)
    yield "too-much", said(GREETS | SHORT, opened(b"c", 1, 1, 0), *([short(ITEM, 0, 1, bytes(250))] * 10))
    yield "unread", said(GREETS | SHORT, opened(b"b", 3, 1, 0), *([short(ITEM, 0, 1, bytes(150))] * 20), size=64)
    yield "no-greeting", said(SHORT, unary)
    yield "http", said(0, b"GET / HTTP/1.1\r\n\r\n")
    yield "raw", said(0, writer.greeting(_hello()), writer.open_call(1, 5, 0, b"u", b"", 0, b"hi"), size=3)
    yield "false-length", said(GREETS, HEADER.pack(2**32 - 1, ITEM, 0, 1), size=1)


def of_a_server() -> Iterator[tuple[str, bytes]]:
    packed = bytes.fromhex("83a17801a46e616d65c0a46d6f726580")
    answers = [
        short(METADATA, 0, 1, b"\x81\xa1a\xc4\x01b"),
        short(ITEM, FLAG_END, 1, b"hi"),
        short(ITEM, FLAG_END | FLAG_PACKED, 2, packed),
        short(CREDIT, 0, 3, NUMBER.pack(2000)),
        short(ITEM, 0, 4, b"one"),
        short(ITEM, FLAG_MORE, 4, b"tw"),
        short(ITEM, 0, 4, b"o"),
        short(END, 0, 4),
    ]
    failed = [short(END, 0, number, b"\x92\x05\xa4gone") for number in (1, 2, 3, 4)]
    yield "answers", said(GREETS | SHORT, *answers)
    yield "answers-in-small-reads", said(GREETS | SHORT, *answers, size=2)
    yield "fails", said(GREETS | SHORT, *failed)
    yield (
        "goes-away",
        said(GREETS | SHORT, answers[4], short(GOAWAY, 0, 0, GOAWAY_HEAD.pack(2, 0) + b"bye"), *answers[:2]),
    )
    yield "breaks-off", said(GREETS | SHORT, short(GOAWAY, 0, 0, GOAWAY_HEAD.pack(0, 13) + b"you broke a rule"))
    yield "control", said(GREETS | SHORT, short(PING, 0, 0, bytes(8)), short(PONG, 0, 0, bytes(8)), short(77, 1, 2))
    yield "reads-nothing", said(GREETS | SHORT | DEAF, *answers, *([short(PING, 0, 0, bytes(8))] * 20))
    yield "wrong-type", said(GREETS | SHORT, short(ITEM, FLAG_END | FLAG_PACKED, 2, b"\xc0"), short(ITEM, FLAG_END, 1))
    yield "twice", said(GREETS | SHORT, answers[1], answers[1])
    yield "raw", said(0, writer.greeting(_hello()), writer.item(1, FLAG_END, b"hi"), size=3)
    yield "half-a-frame", said(GREETS, writer.item(1, FLAG_END, b"hi")[: HEADER_BYTES + 1])


def of_a_member() -> Iterator[tuple[str, bytes]]:
    """Messages, each in a packet of its own, as tests.fuzz.targets.packet reads them."""
    alive = Alive("b", 1, 0, "127.0.0.1:2", {"rpc": "127.0.0.1:9"}, 1, {"role": "worker"})
    record = Record("c", 1, 0, 0, "127.0.0.1:3", {}, 0, {}, 0)
    messages = (
        Ping(1, "a", 7),
        IndirectPing(1, "c", "127.0.0.1:3"),
        Ack(1),
        Nack(1),
        alive,
        Suspect("a", 1, 0, "b"),
        Dead("a", 1, 0, "b"),
        Left("b", 1, 0),
        Tags("b", 1, 2, {"role": "client"}),
        State([record]),
        Summary([1, 2]),
        Rows([record], [0]),
        Refused("no"),
        Holder(1, "127.0.0.1:3"),
        Knock(1, "c", "127.0.0.1:3"),
        Closed(1),
        Gone("c", 1, 0, "b"),
    )
    for message in messages:
        yield type(message).__name__.lower(), b"\1" + encode_message(message)
    yield "whole", b"\0" + encode("default", "b", 1, [encode_message(alive), encode_message(Ping(1, "a", 7))])
    yield "foreign", b"\0" + encode("other", "b", 1, [])


def main() -> None:
    for target, seeds in (("server", of_a_client()), ("client", of_a_server()), ("packet", of_a_member())):
        folder = CORPUS / target
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in seeds:
            (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
