"""`rpcnet list`: for people, as JSON, and names alone."""

import json
from typing import Any


def test_a_list_is_a_line_a_method(served: Any, run: Any) -> None:
    code, out, err = run("list", served.address, "Notes.")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "unary             Notes.count() -> int",
        "unary             Notes.get(key: str) -> Note",
        "client streaming  Notes.load(notes: AsyncIterator[Note], base: int = 0) -> int",
        "unary             Notes.put(key: str, text: str, *, stars: int = 0, body: bytes = b'') -> Note",
        "                    Keep a note.",
        "unary             Notes.same(note: Note) -> Note",
        "server streaming  Notes.tick(every: float = 0.001, most: int = 1000000) -> AsyncIterator[int]",
        "bidirectional     Notes.upper(lines: AsyncIterator[str]) -> AsyncIterator[str]",
    ]


def test_a_list_as_json_has_schemas(served: Any, run: Any) -> None:
    code, out, _ = run("list", served.address, "Notes.get", "--json")
    (found,) = json.loads(out)
    assert code == 0
    assert (found["name"], found["shape"], found["request"]) == (
        "Notes.get",
        "unary",
        {"text": "str", "schema": {"type": "string"}},
    )
    assert found["response"]["schema"]["$defs"]["Note"]["required"] == ["key", "text"]


def test_a_list_of_names_has_nothing_else(served: Any, run: Any) -> None:
    assert run("list", served.address, "rel", "--names") == (0, "relay\n", "")
    assert run("list", served.address, "zzz", "--names") == (0, "", "")
    code, out, _ = run("list", served.address, "--names")
    assert code == 0 and {"echo", "Notes.put"} <= set(out.split())


def test_text_of_a_server_cannot_write_on_the_terminal(run: Any, serving: Any) -> None:
    with serving() as served:

        async def handler(payload: bytes) -> bytes:
            """Evil \x1b[2J."""
            return payload

        served.do(lambda: served.server.register("evil\x1b[2J", handler))
        _, out, _ = run("list", served.address, "evil")
        assert out.splitlines() == [
            "unary             evil\\x1b[2J(payload: bytes) -> bytes",
            "                    Evil \\x1b[2J.",
        ]
