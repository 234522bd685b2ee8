"""`rpcnet members`, `tags`, `leave` and `keys`: a member of a cluster, asked by its admin service (rpcnet/admin.py).

Tests: tests/rpcnet/cli/test_cluster.py.
"""

import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from rpcnet.admin import KeyRow, MemberRow
from rpcnet.cli.exits import OK, CommandError, printable
from rpcnet.cli.input import content
from rpcnet.cli.output import Output
from rpcnet.cli.pairs import pairs
from rpcnet.cli.remote import Connection, Remote, connected
from rpcnet.errors import Unimplemented

__all__ = ["KEY_CHANGES", "keys", "leave", "members", "tags"]

COLUMNS: Final = ("NAME", "ADDRESS", "STATUS", "SINCE", "PHI", "TAGS", "SERVICES")
KEY_CHANGES: Final = ("add", "use", "remove")
WIDE: Final = 1_000
"""Characters of a line that nobody breaks: `cut` and `awk` read it."""
CLEAR: Final = b"\x1b[H\x1b[J"


@asynccontextmanager
async def _asked(address: str, remote: Remote) -> AsyncIterator[Connection]:
    try:
        async with connected(address, remote) as connection:
            yield connection
    except Unimplemented:
        raise Unimplemented(
            f"the server at {address} has no admin service; switch it on: register_admin(server, cluster)"
        ) from None


async def members(address: str, remote: Remote, output: Output, *, everyone: bool, watch: bool, as_json: bool) -> int:
    """Write the table of members once, or with `watch` again and again until the member leaves; the exit code."""
    arguments = {"everyone": everyone}
    async with _asked(address, remote) as connection:
        client, metadata = connection.client, connection.metadata
        if not watch:
            rows = await client.call(
                "ClusterAdmin.members",
                arguments,
                response=list[MemberRow],
                timeout=connection.left(),
                metadata=metadata,
            )
            await output.write(_shown(rows, output, as_json))
            return OK
        stream = client.call_server_streaming(
            "ClusterAdmin.watch", arguments, response=list[MemberRow], timeout=connection.left(), metadata=metadata
        )
        is_live = output.is_terminal and not as_json
        is_first = True
        async with stream as tables:
            async for rows in tables:
                between = CLEAR if is_live else b"" if is_first or as_json else b"\n"
                is_first = False
                await output.write(between + _shown(rows, output, as_json))
    return OK


async def tags(address: str, typed: Sequence[str], deleted: Sequence[str], remote: Remote, output: Output) -> int:
    """Change tags, all at once, and write those that the member has then; the exit code."""
    changes: dict[str, str | None] = {**pairs("tag", typed)}
    for key in deleted:
        if key in changes:
            raise CommandError(f"tag {key} is set and deleted")
        changes[key] = None
    async with _asked(address, remote) as connection:
        found = await connection.client.call(
            "ClusterAdmin.tags",
            {"changes": changes},
            response=dict[str, str],
            timeout=connection.left(),
            metadata=connection.metadata,
        )
    for key, value in sorted(found.items()):
        await output.line(printable(f"{key}={value}").encode())
    return OK


async def leave(address: str, remote: Remote) -> int:
    """Have the member leave; the exit code, once the others know."""
    async with _asked(address, remote) as connection:
        await connection.client.call(
            "ClusterAdmin.leave", {}, response=type(None), timeout=connection.left(), metadata=connection.metadata
        )
    return OK


async def keys(address: str, what: str, key: str | None, remote: Remote, output: Output) -> int:
    """Change the keys of a member unless `what` is list; write the ids of those that it has then; the exit code."""
    arguments = {}
    if what in KEY_CHANGES:
        if key is None:
            raise CommandError(f"{what} needs a key{'' if what == 'add' else ' or its id'}; `-` reads standard input")
        arguments["key"] = (await content(key)).decode(errors="replace").strip()
    elif key is not None:
        raise CommandError("list shows all keys, and takes none")
    async with _asked(address, remote) as connection:
        found = await connection.client.call(
            f"ClusterAdmin.{what}_key" if arguments else "ClusterAdmin.keys",
            arguments.get("key", {}),
            response=list[KeyRow],
            timeout=connection.left(),
            metadata=connection.metadata,
        )
    for one in found:
        await output.line(f"{one.id}{' primary' if one.is_primary else ''}".encode())
    return OK


def _shown(rows: Sequence[MemberRow], output: Output, as_json: bool) -> bytes:
    if as_json:
        return msgspec.json.encode(rows) + b"\n"
    from rich.box import SIMPLE_HEAD  # it takes its time, and only this wants it
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD if output.is_terminal else None, pad_edge=False, show_edge=False)
    for column in COLUMNS:
        table.add_column(
            column, no_wrap=not output.is_terminal, justify="right" if column in ("SINCE", "PHI") else "left"
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in _cells(row)), style=STYLES.get(row.status, ""))
    console = Console(
        file=sys.stdout if output.is_terminal else None, width=None if output.is_terminal else WIDE, no_color=None
    )
    with console.capture() as captured:
        console.print(table)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()).encode("utf-8", "backslashreplace")


STYLES: Final = {"suspect": "yellow", "failed": "red", "left": "dim"}


def _cells(row: MemberRow) -> Iterable[str]:
    yield f"{row.name}*" if row.is_me else row.name
    yield row.address
    yield row.status
    yield _age(row.seconds)
    yield "-" if row.phi is None else f"{row.phi:.1f}"
    for texts in (row.tags, row.services):
        yield " ".join(f"{key}={value}" for key, value in sorted(texts.items())) or "-"


def _age(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(0.0, seconds):.0f}s"
