"""Ciphertext is another one each time: what it looks like, and how long a handshake is, must not show."""

import asyncio
import ssl

import pytest
import trustme

from sim import Simulation
from sim.network.tcp.tls import HANDSHAKE_BYTES

PLAIN = 64
"""Bytes that each end writes at once."""


def contexts(mutual):
    """With certificates of their own, as each process that makes some has."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("server").configure_cert(server)
    authority.configure_trust(client)
    if mutual:
        authority.configure_trust(server)
        server.verify_mode = ssl.CERT_REQUIRED
        authority.issue_cert("client@example.org").configure_cert(client)
    return server, client


def outcome(link, *, mutual=False, late=False, newest=ssl.TLSVersion.TLSv1_3, slow_until=None):
    """The events of the network of a conversation in which both ends speak as soon as they can, and its digest."""
    server_context, client_context = contexts(mutual)
    client_context.maximum_version = newest

    async def answer(reader, writer):
        if late:
            await writer.start_tls(server_context)
        writer.write(bytes(PLAIN))
        assert len(await reader.readexactly(300_000)) == 300_000
        writer.write(bytes(500_000))
        await writer.drain()
        writer.close()

    async def serve():
        async with await asyncio.start_server(answer, "server", 443, ssl=None if late else server_context) as server:
            await server.serve_forever()

    async def ask():
        reader, writer = await asyncio.open_connection("server", 443, ssl=None if late else client_context)
        if late:
            await writer.start_tls(client_context, server_hostname="server")
        writer.write(bytes(300_000))
        received = await reader.read(-1)
        writer.close()
        return len(received)

    with Simulation(1) as simulation:
        simulation.network.default_link(**link)
        simulation.add_node("server").start(serve)
        if slow_until is not None:
            slow = simulation.network.slow_receive("server", "20ms")
            simulation.schedule.at(slow_until, simulation.network.heal, slow)
        asked = simulation.add_node("client").start(ask, delay=0.1)
        assert simulation.run_until_complete(asked) == PLAIN + 500_000
        told = [event.fields for event in simulation.trace if event.name == "sent"]
    return told, simulation.digest()


@pytest.mark.parametrize(
    "link",
    [{"latency": "5ms"}, {"latency": "uniform(1ms, 9ms)", "loss": "3%", "bandwidth": "1MB/s"}],
    ids=["plain", "bad"],
)
@pytest.mark.parametrize(
    "how",
    [{}, {"mutual": True}, {"late": True}, {"newest": ssl.TLSVersion.TLSv1_2}, {"slow_until": 0.14}, {"slow_until": 9}],
    ids=["usual", "mutual", "start_tls", "1.2", "slow at first", "slow"],
)
def test_a_run_with_tls_is_the_same_every_time(link, how):
    """Signatures of ECDSA have one length or another by chance, and so have tickets: ten runs have seen several."""
    digests = {outcome(link, **how)[1] for _ in range(10)}
    assert len(digests) == 1


def test_a_handshake_is_told_with_a_fixed_size_and_records_with_their_own():
    told, _ = outcome({"latency": "5ms"})
    assert {fields["crc"] for fields in told} == {0}
    sizes = [fields["bytes"] for fields in told]
    assert sizes[:2] == [HANDSHAKE_BYTES] * 2
    overhead = 5 + 1 + 16  # a record's header, its type, its tag: RFC 8446 §5.2
    assert sum(size for size in sizes if size != HANDSHAKE_BYTES) > PLAIN + 800_000 + overhead
    assert PLAIN + overhead in sizes
