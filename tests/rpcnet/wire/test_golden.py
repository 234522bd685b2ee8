"""docs/protocol.md suffices to write a client: its vectors and tables are what the code does."""

from pathlib import Path

import msgpack
import msgspec
import pytest

from rpcnet.config import HELLO_LIMITS
from rpcnet.errors import Status
from rpcnet.flow.state import FIRST, HALF_NAMES, REQUEST, RESPONSE
from rpcnet.wire import writer
from rpcnet.wire.frame import (
    ARGUMENTS,
    FLAG_END,
    FLAG_ITEM,
    FLAG_MORE,
    FLAG_PACKED,
    NAMES,
    PING,
    PONG,
    PREFACE,
    Ending,
    Hello,
    decode_ending,
    decode_goaway,
    decode_hello,
    decode_metadata,
    decode_number,
    decode_open,
)
from rpcnet.wire.parser import Parser

PAGE = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
VECTORS = dict(line.rsplit(": ", 1) for line in PAGE.split("```vectors\n")[1].split("```")[0].strip().splitlines())
HELLO = Hello(
    connection="c0ffee000001",
    max_message_bytes=4194304,
    max_frame_bytes=197696,
    max_metadata_bytes=65536,
    max_streams=100,
    stream_window_bytes=524288,
    connection_window_bytes=52428800,
)
NOT_FOUND = Ending(5, "no such worker", b"\x01\x02", {})
WRITTEN = {
    "preface and HELLO": writer.greeting(HELLO),
    "OPEN of a unary call": writer.open_call(1, FLAG_ITEM | FLAG_END, 0, b"echo", b"", 0, b"hi"),
    "OPEN of a bidirectional call, deadline 1.5 s, metadata": writer.open_call(
        2, 0, 3, b"chat", msgspec.msgpack.encode({"trace": "1"}), 1_500_000, b""
    ),
    "OPEN with the first part of a message": writer.open_call(3, FLAG_ITEM | FLAG_MORE, 1, b"up", b"", 0, b"abc"),
    "ITEM": writer.item(2, 0, b"x"),
    "ITEM, empty": writer.item(2, 0, b""),
    "OPEN with a first message in MessagePack, a list": writer.open_call(
        4, FLAG_ITEM | FLAG_END | FLAG_PACKED, 2, b"count", b"", 0, b"\x92\x01\x02"
    ),
    "OPEN of a client streaming call with arguments, a map": writer.open_call(
        5, FLAG_ITEM | FLAG_PACKED, 1 | ARGUMENTS, b"sum", b"", 0, b"\x81\xa5start\x05"
    ),
    "ITEM in MessagePack, a map": writer.item(2, FLAG_PACKED, b"\x81\xa1a\x01"),
    "ITEM in MessagePack, its first part": writer.item(3, FLAG_PACKED | FLAG_MORE, b"\x93\x01"),
    "ITEM, a part of a message": writer.item(3, FLAG_MORE, b"def"),
    "ITEM that is the whole answer and the end": writer.item(1, FLAG_END, b"hi"),
    "END of a caller's items, or OK": writer.end(2),
    "END with NOT_FOUND": writer.end(2, NOT_FOUND),
    "END with OK and trailers": writer.end(2, Ending(0, "", b"", {"k": "v"})),
    "CANCEL": writer.cancel(2, 1),
    "CREDIT for a stream": writer.credit(2, 131072),
    "CREDIT for the connection": writer.credit(0, 2097152),
    "PING": writer.ping(PING, bytes(range(8))),
    "PONG": writer.ping(PONG, bytes(range(8))),
    "GOAWAY": writer.goaway(2, 0, "the server is stopping"),
    "METADATA": writer.metadata(2, msgspec.msgpack.encode({"seen": "1"})),
}

READ = {
    "END with a status alone": Ending(7),
    "END with a fifth element": Ending(5, "gone"),
    "END with a status of the future": Ending(99),
}
"""What others may write and our writer does not."""


@pytest.mark.parametrize("name", WRITTEN)
def test_what_the_writer_writes_is_what_the_page_says(name: str) -> None:
    assert WRITTEN[name].hex() == VECTORS[name]


def test_every_vector_of_the_code_is_on_the_page() -> None:
    assert WRITTEN.keys() | READ.keys() == VECTORS.keys()


def frame(name: str) -> tuple[int, int, int, bytes]:
    """The one frame of a vector, through the parser."""
    parser = Parser(1 << 20)
    data = bytes.fromhex(VECTORS[name])
    (only,) = parser.receive(data if data.startswith(PREFACE) else PREFACE + data)
    assert parser.error is None
    return only


def test_what_the_page_says_is_what_is_read() -> None:
    kind, flags, stream, payload = frame("preface and HELLO")
    assert (NAMES[kind], flags, stream, decode_hello(payload)) == ("HELLO", 0, 0, HELLO)
    _, flags, stream, payload = frame("OPEN of a unary call")
    assert (flags, stream, decode_open(payload, 99)) == (5, 1, (0, "echo", {}, 0, b"hi"))
    payload = frame("OPEN of a bidirectional call, deadline 1.5 s, metadata")[3]
    assert decode_open(payload, 99) == (3, "chat", {"trace": "1"}, 1_500_000, b"")
    _, flags, _, payload = frame("OPEN of a client streaming call with arguments, a map")
    assert (flags, *decode_open(payload, 99)) == (12, 5, "sum", {}, 0, b"\x81\xa5start\x05")
    assert decode_ending(frame("END of a caller's items, or OK")[3]) == Ending()
    assert decode_ending(frame("END with NOT_FOUND")[3]) == NOT_FOUND
    for name, ending in READ.items():
        assert decode_ending(frame(name)[3]) == ending
    assert frame("ITEM in MessagePack, a map")[1] == FLAG_PACKED
    assert decode_number(frame("CREDIT for a stream")[3]) == 131072
    assert decode_goaway(frame("GOAWAY")[3]) == (2, 0, "the server is stopping")
    assert decode_metadata(frame("METADATA")[3]) == {"seen": "1"}


def test_the_msgpack_package_reads_the_same() -> None:
    """The payloads are MessagePack for everybody, not only for msgspec."""
    assert msgpack.unpackb(frame("END with NOT_FOUND")[3]) == [5, "no such worker", b"\x01\x02", {}]
    assert msgpack.unpackb(frame("preface and HELLO")[3])["connection"] == "c0ffee000001"


def test_the_tables_on_the_page_are_the_tables_of_the_code() -> None:
    flag_names = {FLAG_ITEM: " + ITEM", FLAG_END: " + END", FLAG_MORE: " + MORE"}

    def named(flags: int) -> str:
        return "".join(text for bit, text in flag_names.items() if flags & bit)

    rows = [
        f"| – | OPEN{named(flags)} | {HALF_NAMES[after]} |" for flags, after in FIRST.items() if not flags & FLAG_PACKED
    ]
    for table in (REQUEST, RESPONSE):
        rows += [
            f"| {HALF_NAMES[h]} | {NAMES[kind]}{named(f)} | {HALF_NAMES[after]} |"
            for (h, kind, f), after in table.items()
            if not f & FLAG_PACKED
        ]
    on_page = [
        line
        for line in PAGE.split("## What may follow what")[1].split("## Credit")[0].splitlines()
        if line.startswith("| ")
    ]
    assert [line for line in on_page if "direction" not in line and "nothing" not in line] == rows
    over = [f"| {half} | nothing | – |" for half in ("ABORTED", "ENDED")]
    assert [line for line in on_page if "nothing" in line] == over


def table(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    lines = [line for line in PAGE.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_bounds_of_hello_are_those_of_the_code() -> None:
    rows = {row[0]: row[1:] for row in table("HELLO")}
    assert rows.keys() == set(Hello.__struct_fields__)
    for name, (least, most) in HELLO_LIMITS.items():
        required, *bounds, absent, ours, _ = rows[name]
        assert (required, absent) == ("yes", "–")
        assert [int(text.replace(",", "")) for text in bounds] == [least, most]
        assert int(ours.replace(",", "")) == getattr(HELLO, name)
    assert all(rows[name][0] == "no" for name in rows.keys() - HELLO_LIMITS.keys())


def test_the_statuses_on_the_page_are_those_of_the_code() -> None:
    assert [(int(row[0]), row[1]) for row in table("Statuses")] == [(status.value, status.name) for status in Status]


def test_the_types_and_flags_on_the_page_are_those_of_the_code() -> None:
    tables = PAGE.split("## Frames\n")[1].split("\n## ")[0]
    numbered = [line.split(" | ")[:2] for line in tables.splitlines() if line.startswith("| ") and line[2].isdigit()]
    named = [(int(number.strip("| ")), name) for number, name in numbered if name.isupper()]
    assert named[: len(NAMES)] == list(NAMES.items())
    flags = [(FLAG_END, "END"), (FLAG_MORE, "MORE"), (FLAG_ITEM, "ITEM"), (FLAG_PACKED, "PACKED")]
    assert named[len(NAMES) :] == flags
