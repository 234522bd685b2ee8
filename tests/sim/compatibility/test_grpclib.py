import asyncio

import pytest

from tests.sim.compatibility.machines import certificates, forever, on_two_machines

grpclib = pytest.importorskip("grpclib")
wrappers = pytest.importorskip("google.protobuf.wrappers_pb2")
from grpclib.client import Channel, StreamStreamMethod, UnaryUnaryMethod  # noqa: E402
from grpclib.const import Cardinality, Handler, Status  # noqa: E402
from grpclib.server import Server  # noqa: E402

Text = wrappers.StringValue


class Shouting:
    """What the code generator would make of a service with two methods."""

    async def shout(self, stream):
        request = await stream.recv_message()
        if not request.value:
            raise grpclib.GRPCError(Status.INVALID_ARGUMENT, "nothing to shout")
        if request.value == "slow":
            await asyncio.sleep(60)
        await stream.send_message(Text(value=request.value.upper()))

    async def echo(self, stream):
        async for message in stream:
            await stream.send_message(Text(value=message.value * 2))

    def __mapping__(self):
        return {
            "/test.Shouting/Shout": Handler(self.shout, Cardinality.UNARY_UNARY, Text, Text),
            "/test.Shouting/Echo": Handler(self.echo, Cardinality.STREAM_STREAM, Text, Text),
        }


def serving(**options):
    async def serve():
        server = Server([Shouting()])
        await server.start("server", 50051, **options)
        try:
            await forever()
        finally:
            server.close()
            await server.wait_closed()

    return serve


def test_a_unary_call():
    async def ask():
        async with Channel("server", 50051) as channel:
            shout = UnaryUnaryMethod(channel, "/test.Shouting/Shout", Text, Text)
            return (await shout(Text(value="hello"))).value

    assert on_two_machines(serving(), ask)[0] == "HELLO"


def test_a_bidirectional_stream():
    async def ask():
        answers = []
        async with Channel("server", 50051) as channel:
            async with StreamStreamMethod(channel, "/test.Shouting/Echo", Text, Text).open() as stream:
                for word in ("one", "two", "three"):
                    await stream.send_message(Text(value=word))
                    answers.append((await stream.recv_message()).value)
                await stream.end()
        return answers

    assert on_two_machines(serving(), ask)[0] == ["oneone", "twotwo", "threethree"]


def test_errors_and_deadlines():
    async def ask():
        loop = asyncio.get_running_loop()
        async with Channel("server", 50051) as channel:
            shout = UnaryUnaryMethod(channel, "/test.Shouting/Shout", Text, Text)
            with pytest.raises(grpclib.GRPCError) as refused:
                await shout(Text())
            began = loop.time()
            with pytest.raises(asyncio.TimeoutError):
                await shout(Text(value="slow"), timeout=2)
            return refused.value.status, round(loop.time() - began, 2)

    assert on_two_machines(serving(), ask)[0] == (Status.INVALID_ARGUMENT, 2.0)


def test_tls():
    ours, theirs = certificates()
    for context in (ours, theirs):
        context.set_alpn_protocols(["h2"])

    async def ask():
        async with Channel("server", 50051, ssl=theirs) as channel:
            return (await UnaryUnaryMethod(channel, "/test.Shouting/Shout", Text, Text)(Text(value="x"))).value

    assert on_two_machines(serving(ssl=ours), ask)[0] == "X"
