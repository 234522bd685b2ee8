"""A real socket that is to be connected to a simulated server is told so."""

import asyncio
import errno
import socket
import subprocess
import sys

import pytest

from sim import NotSimulated, Simulation, run
from tests.sim.twins.twin import unix_path


@pytest.fixture
def served():
    """The address of a server on a node."""

    async def main():
        path = unix_path()
        await asyncio.start_unix_server(lambda *_: None, path)
        await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
        return path

    with socket.socket() as taken:  # a port that nobody has
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with Simulation(1) as simulation:
        path = simulation.run_until_complete(simulation.add_node("web").start(main))
        yield port, path


def test_a_real_client_of_a_simulated_server_is_told(served):
    port, path = served
    said = r"a real socket cannot connect to .*: the server there is simulated, on the node web.*add_node"
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(NotSimulated, match=said):
            socket.create_connection((host, port), timeout=5)
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(NotSimulated, match=said):
        client.connect(path)
    with socket.socket() as client, pytest.raises(NotSimulated, match=said):
        client.connect_ex(("127.0.0.1", port))


def test_other_refusals_of_real_sockets_are_as_ever(served):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(taken.getsockname(), timeout=5)
        with socket.socket() as client:
            assert client.connect_ex(taken.getsockname()) == errno.ECONNREFUSED
    with socket.socket() as client:
        client.setblocking(False)
        with pytest.raises((BlockingIOError, NotSimulated)):
            client.connect(("127.0.0.1", served[0]))


def test_a_real_client_of_a_real_server_connects(served):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


SERVER = """
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_node_is_told_of_a_unix_socket_of_the_real_machine_while_it_is_served(tmp_path):
    path = str(tmp_path / "s")

    async def main():
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, path)

    with subprocess.Popen(
        [sys.executable, "-c", SERVER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        server.stdout.readline()
        with pytest.raises(NotSimulated, match="is a Unix socket of the real machine"):
            run(main(), seed=1)
        server.stdin.close()  # it ends
        server.wait(timeout=20)
    with pytest.raises(ConnectionRefusedError):  # the file is still there
        run(main(), seed=1)
