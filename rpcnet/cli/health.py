"""`rpcnet health`: whether a server, or one of its services, takes calls; for people and for probes.

Tests: tests/rpcnet/cli/test_health.py.
"""

from rpcnet.cli.exits import NOT_SERVING, OK
from rpcnet.cli.output import Output
from rpcnet.cli.remote import Remote, connected
from rpcnet.health import CHECK, WATCH, ServiceHealth

__all__ = ["health"]


async def health(address: str, service: str, remote: Remote, output: Output, *, watch: bool) -> int:
    """Write the status, or with `watch` each one as it changes; the exit code is that of the last."""
    code = NOT_SERVING
    arguments = {"service": service}
    async with connected(address, remote) as connection:
        client, metadata = connection.client, connection.metadata
        if not watch:
            found = await client.call(
                CHECK, arguments, response=ServiceHealth, timeout=connection.left(), metadata=metadata
            )
            await output.line(found.status.encode())
            return OK if found.status == "SERVING" else NOT_SERVING
        async with client.call_server_streaming(
            WATCH, arguments, response=ServiceHealth, timeout=connection.left(), metadata=metadata
        ) as changes:
            async for change in changes:
                await output.line(change.status.encode())
                code = OK if change.status == "SERVING" else NOT_SERVING
    return code
