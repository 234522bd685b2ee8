"""SO_KEEPALIVE ends an idle connection whose other end has fallen silent, and no other."""

import asyncio
import socket
import struct

import networkx
import pytest

from sim import Simulation

IDLE, INTERVAL, COUNT = 10, 5, 3
SHORT = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, INTERVAL),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, COUNT),
)


def ends(*, at=(), options=SHORT, until=100.0, writes=(), on="client", late=False):
    """When and how a connection between a (client) and b ends: (seconds, error), or None. `at`: (time, what)."""
    with Simulation(1) as simulation:
        simulation.network.default_link(latency=0.01)
        seen = []

        class Watched(asyncio.Protocol):
            def __init__(self, mine):
                self.mine = mine

            def connection_made(self, transport):
                self.transport = transport
                if self.mine and not late:
                    keep(transport)

            def connection_lost(self, error):
                if self.mine:
                    seen.append((asyncio.get_running_loop().time(), error))

        def keep(transport):
            for option in options:
                transport.get_extra_info("socket").setsockopt(*option)

        async def serve():
            await asyncio.get_running_loop().create_server(lambda: Watched(on == "server"), "0.0.0.0", 7000)
            await asyncio.Event().wait()

        async def connect():
            transport, _ = await asyncio.get_running_loop().create_connection(
                lambda: Watched(on == "client"), "b", 7000
            )
            for when in writes:
                await asyncio.sleep(when - asyncio.get_running_loop().time())
                transport.write(b"x")
            if late:
                await asyncio.sleep(late)
                keep(transport)
            await asyncio.Event().wait()

        def timeline(environment):
            for when, what in at:
                yield environment.timeout(when - environment.now)
                what(simulation)

        simulation.add_node("b").start(serve)
        simulation.add_node("a").start(connect, delay=0.01)
        simulation.environment.process(timeline(simulation.environment))
        simulation.run(until=until)
        return seen[0] if seen else None


def crash(simulation):
    simulation.nodes["b"].crash()


def cut(simulation):
    simulation.network.partition(["a"], ["b"], name="cut")


def cut_back(simulation):
    simulation.network.partition(["b"], ["a"], one_way=True, name="cut")


def heal(simulation):
    simulation.network.heal("cut")


@pytest.mark.parametrize("silence", [crash, cut, cut_back])
def test_a_silent_peer_is_given_up_after_all_probes(silence):
    when, error = ends(at=[(1.0, silence)])
    assert isinstance(error, TimeoutError)
    assert when == pytest.approx(1 + IDLE + COUNT * INTERVAL)


def test_an_idle_connection_lives_on_without_it_and_with_it_while_the_peer_is_there():
    assert ends(at=[(1.0, crash)], options=()) is None
    assert ends(until=100_000.0) is None


def test_a_cut_that_is_healed_before_the_last_probe_ends_nothing():
    assert ends(at=[(1.0, cut), (1.0 + IDLE + COUNT * INTERVAL - 1, heal)]) is None


def test_a_second_silence_is_found_as_well():
    when, _ = ends(at=[(1.0, cut), (5.0, heal), (30.0, cut)])
    assert when == pytest.approx(30 + IDLE + COUNT * INTERVAL)


def test_a_peer_that_has_started_anew_answers_the_first_probe_with_a_reset():
    when, error = ends(at=[(1.0, crash), (2.0, lambda simulation: simulation.nodes["b"].restart())])
    assert isinstance(error, ConnectionResetError)
    assert when == pytest.approx(1 + IDLE)


def test_linux_s_times_are_meant_where_none_are_set():
    when, _ = ends(at=[(1.0, crash)], options=SHORT[:1], until=10_000.0)
    assert when == pytest.approx(1 + 7200 + 9 * 75)


def test_it_may_be_asked_for_when_the_peer_is_silent_already():
    when, _ = ends(at=[(1.0, crash)], late=5.0)
    assert when == pytest.approx(5 + IDLE + COUNT * INTERVAL, abs=0.1)


def test_it_can_be_switched_off_again():
    off = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
    assert ends(at=[(1.0, crash)], options=(*SHORT, off)) is None
    assert ends(at=[(1.0, crash)], options=(*SHORT, (*off[:2], struct.pack("i", 0)))) is None


def test_what_is_sent_into_the_silence_is_retransmitted_instead():
    when, error = ends(at=[(1.0, crash)], writes=[2.0], until=2000.0)
    assert isinstance(error, TimeoutError)
    assert when > 924


def test_a_server_s_connections_have_it_from_the_listening_socket():
    with Simulation(1) as simulation:
        listening = []

        async def serve():
            server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "0.0.0.0", 7000)
            for option in SHORT:
                server.sockets[0].setsockopt(*option)
            await asyncio.Event().wait()

        class Client(asyncio.Protocol):
            def connection_made(self, transport):
                listening.append(transport)

        async def connect():
            await asyncio.get_running_loop().create_connection(Client, "b", 7000)
            await asyncio.Event().wait()

        b = simulation.add_node("b")
        b.start(serve)
        a = simulation.add_node("a")
        a.start(connect, delay=0.01)
        simulation.run(until=1.0)
        (accepted,) = b.host.endpoints
        a.crash()
        simulation.run(until=1.0 + IDLE + COUNT * INTERVAL + 1)
        assert isinstance(accepted.error, TimeoutError)


def test_a_graph_is_changed_whole_before_anybody_looks_who_has_fallen_silent():
    """networkx changes it in several steps, of which each tells of itself."""
    held = []
    graph = networkx.Graph([("a", "s"), ("s", "b"), ("a", "t"), ("t", "b")])
    with Simulation(1) as simulation:
        a, b = simulation.add_node("a"), simulation.add_node("b")
        simulation.network.graph = graph

        async def serve():
            async with await asyncio.start_server(lambda *ends: held.append(ends), "0.0.0.0", 80) as server:
                await server.serve_forever()

        async def ask():
            held.append(await asyncio.open_connection("b", 80))
            for option in SHORT:
                held[-1][1].get_extra_info("socket").setsockopt(*option)
            await asyncio.sleep(100)

        b.start(serve)
        a.start(ask, delay=0.1)
        simulation.run(until=1.0)
        graph.add_edge("a", "b", latency="10ms")
        graph["a"]["b"]["latency"] = "50ms"
        assert graph["b"]["a"] == {"latency": "50ms"}
        graph.remove_node("s")
        assert {name: list(graph[name]) for name in graph} == {"a": ["t", "b"], "b": ["t", "a"], "t": ["a", "b"]}
        graph.clear_edges()
        assert list(graph.edges) == []
