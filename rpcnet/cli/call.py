"""`rpcnet call`: one call of any shape, JSON in and JSON out.

What the method takes is asked of the server, so that bytes, keys and the call's shape are right; a server that does not
tell is called with what was typed.

Tests: tests/rpcnet/cli/test_call.py.
"""

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rpcnet.cli.duration import seconds
from rpcnet.cli.exits import OK, CommandError, nearest, printable
from rpcnet.cli.input import STDIN, content, stdin_lines
from rpcnet.cli.output import Output
from rpcnet.cli.remote import Connection, Remote, connected
from rpcnet.cli.values import as_json, from_json, parsed
from rpcnet.client import DEFAULT
from rpcnet.client.stream import ClientStream
from rpcnet.errors import Metadata, RpcError, Unimplemented
from rpcnet.reflection import MethodDescription
from rpcnet.wire.frame import SHAPES, UNARY

__all__ = ["Order", "call"]

CLIENT_STREAMS: Final = 1
SERVER_STREAMS: Final = 2


@dataclass(frozen=True)
class Order:
    """One call as it was typed."""

    method: str
    values: Sequence[str]
    arguments: str | None
    shape: str | None
    is_bytes: bool
    idle_timeout: str | None
    verbose: bool


async def call(address: str, order: Order, remote: Remote, output: Output) -> int:
    """Make the call; the exit code. CommandError, RpcError."""
    idle = seconds("--idle-timeout", order.idle_timeout)
    async with connected(address, remote) as connection:
        description = await connection.described(order.method)
        request = _Request(order, description)
        try:
            await _make(connection, request, idle, output)
        except RpcError as error:
            if order.verbose:
                _show(error.metadata, error.trailers)
                if error.details:
                    print(f"details: {error.details!r}", file=sys.stderr)
            if description is None and isinstance(error, Unimplemented) and "was called as" in str(error):
                raise CommandError(f"{error}; say which with --shape") from None
            raise
    return OK


async def _make(connection: Connection, request: "_Request", idle: float | None, output: Output) -> None:
    order, client = request.order, connection.client
    response: Any = None if order.is_bytes else Any
    options: dict[str, Any] = {"response": response, "timeout": connection.left(), "metadata": connection.metadata}
    if request.shape != UNARY:
        options["idle_timeout"] = DEFAULT if idle is None else idle
    elif idle is not None:
        raise CommandError("--idle-timeout is for streams; --timeout bounds a call with one answer")
    if request.shape & CLIENT_STREAMS:
        options["arguments"] = await request.beside()
    if not request.shape & SERVER_STREAMS:
        if request.shape & CLIENT_STREAMS:
            reply = await client.call_with_metadata(order.method, items=request.items(), **options)
        else:
            reply = await client.call_with_metadata(order.method, await request.message(), **options)
        if order.verbose:
            _show(reply.metadata, reply.trailers)
        await (output.write(reply.value) if order.is_bytes else output.line(as_json(reply.value)))
        return
    if request.shape & CLIENT_STREAMS:
        stream: ClientStream[Any] = client.call_streaming(order.method, request.items(), **options)
    else:
        stream = client.call_server_streaming(order.method, await request.message(), **options)
    async with stream:
        async for item in stream:
            await output.line(item if order.is_bytes else as_json(item))
        if order.verbose:
            _show(stream.metadata, stream.trailers)


def _show(metadata: Metadata, trailers: Metadata) -> None:
    for what, pairs in (("metadata", metadata), ("trailer", trailers)):
        for key, value in pairs.items():
            shown = value if isinstance(value, str) else repr(value)
            print(printable(f"{what} {key}: {shown}"), file=sys.stderr)


class _Request:
    """What is sent, made from what was typed and what the server tells of the method."""

    def __init__(self, order: Order, description: MethodDescription | None) -> None:
        self.order = order
        self._told = description
        self.shape = UNARY
        shape = order.shape if description is None else description.shape
        if shape is not None:
            shape = shape.replace("-", "_")
            if shape not in SHAPES:
                raise CommandError(f"--shape {order.shape!r} is none of {', '.join(SHAPES)}")
            self.shape = SHAPES.index(shape)
        if description is not None and description.is_bytes and not order.is_bytes:
            raise CommandError(f"{order.method} takes and gives bytes; add --bytes")
        if order.arguments is not None and not self.shape & CLIENT_STREAMS:
            raise CommandError(f"--arguments go beside a stream; {self._usage()} is given them as its value")
        if not self.shape & CLIENT_STREAMS and len(order.values) > 1:
            raise CommandError(f"{self._usage()} takes one value, not {len(order.values)}; quote it as one word")

    def _usage(self) -> str:
        told = self._told
        return self.order.method if told is None else f"{told.name}{told.signature}"

    async def message(self) -> Any:
        """The one request."""
        told, where = self._told, self.order.method
        if not self.order.values:
            if self.order.is_bytes:
                return b""
            if told is None or told.takes_map:
                return {}
            if told.request is not None and told.request.text == "None":
                return None
            raise CommandError(f"{self._usage()} needs its value as JSON, in one word")
        came = await content(self.order.values[0])
        if self.order.is_bytes:
            return came
        value = parsed(came, "the value")
        if told is None:
            return value
        if told.takes_map:
            return self._map(value, told, "the value")
        return from_json(value, told.request.schema if told.request is not None else None, where)

    async def beside(self) -> dict[str, Any] | None:
        """The arguments beside a stream."""
        if self.order.arguments is None:
            return None
        value = parsed(await content(self.order.arguments), "--arguments")
        if self._told is not None:
            return self._map(value, self._told, "--arguments")
        if not isinstance(value, dict):
            raise CommandError("--arguments must be a JSON object of names and values")
        return value

    def _map(self, value: Any, told: MethodDescription, where: str) -> dict[str, Any]:
        known = {one.name: one for one in told.arguments}
        if not isinstance(value, dict):
            example = ", ".join(f'"{one.name}": …' for one in told.arguments)
            raise CommandError(f"{where} must be a JSON object of arguments, {{{example}}}: {self._usage()}")
        for name in value:
            if name not in known:
                raise CommandError(f"{self._usage()} has no argument {name!r}{nearest(name, known)}")
        return {name: from_json(one, known[name].type.schema, where, f"$.{name}") for name, one in value.items()}

    async def items(self) -> AsyncIterator[Any]:
        """What the caller streams: each value of the command line, or each line of standard input."""
        schema: Mapping[str, Any] | None = None
        if self._told is not None and self._told.request is not None:
            schema = self._told.request.schema
        number = 0
        async for where, came in self._texts():
            number += 1
            if self.order.is_bytes:
                yield came
            elif came.strip():
                yield from_json(parsed(came, f"{where} {number}"), schema, f"{where} {number}")

    async def _texts(self) -> AsyncIterator[tuple[str, bytes]]:
        for text in self.order.values:
            if text != STDIN:
                yield "value", await content(text)
                continue
            async for line in stdin_lines():
                yield "line", line
        if not self.order.values:
            async for line in stdin_lines():
                yield "line", line
