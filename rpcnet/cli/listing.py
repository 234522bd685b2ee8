"""`rpcnet list`: the methods of a server, for people, for programs and for completion.

Tests: tests/rpcnet/cli/test_listing.py.
"""

import msgspec

from rpcnet.cli.exits import OK, printable
from rpcnet.cli.output import Output
from rpcnet.cli.remote import Remote, connected

__all__ = ["listing"]


async def listing(address: str, prefix: str, remote: Remote, output: Output, *, as_json: bool, names: bool) -> int:
    """Write what the server tells of the methods whose names begin with `prefix`; the exit code."""
    async with connected(address, remote) as connection:
        methods = await connection.listed(prefix)
    if as_json:
        await output.line(msgspec.json.encode(methods))
        return OK
    for one in methods:
        if names:
            await output.line(printable(one.name).encode())
            continue
        shape = one.shape.replace("_", " ")
        await output.line(printable(f"{shape:<16}  {one.name}{one.signature}").encode())
        if one.doc:
            await output.line(printable(f"{'':<16}    {one.doc}").encode())
    return OK
