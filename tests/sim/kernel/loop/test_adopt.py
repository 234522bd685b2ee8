import asyncio
import errno
import os
import socket
import sys
from threading import Event, Thread

import pytest

import sim
from sim import NotSimulated
from sim.kernel.loop.adopt import Adopted
from sim.kernel.loop.sockets import SimulatedSocket


def on_a_node(function):
    return sim.run(function())


def greet(reader, writer):
    writer.write(b"hello")
    writer.close()


@pytest.fixture
def real():
    """A socket that was made outside of any simulation."""
    with socket.socket() as made:
        made.setblocking(False)
        yield made


def test_a_socket_made_on_a_node_is_a_simulated_one_and_a_socket_to_whoever_asks():
    async def main():
        with socket.socket() as made:
            assert type(made) is SimulatedSocket
            assert isinstance(made, socket.socket)

    on_a_node(main)


def test_elsewhere_sockets_stay_real():
    made, wanted = [], Event()
    thread = Thread(target=lambda: wanted.wait() and made.append(socket.socket()))  # none of the node's
    thread.start()

    async def main():
        wanted.set()
        thread.join()
        with made[0]:
            return type(made[0])

    assert on_a_node(main) is socket.socket
    with socket.socket() as outside:
        assert type(outside) is socket.socket


def test_a_subclass_of_socket_is_left_alone():
    class Own(socket.socket):
        pass

    async def main():
        with Own() as made:
            return type(made)

    assert on_a_node(main) is Own


def test_a_real_socket_is_adopted_with_its_options_and_its_name(real):
    real.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    real.bind(("127.0.0.1", 0))
    port = real.getsockname()[1]

    async def main():
        server = await asyncio.start_server(lambda reader, writer: writer.close(), sock=real)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()
        name, option = real.getsockname(), real.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        listening = real.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        server.close()
        return name, option, listening

    assert on_a_node(main) == (("127.0.0.1", port), 1, 1)
    assert "adopted" in repr(real)


def test_a_real_socket_that_listens_goes_on_to_listen(real):
    real.bind(("127.0.0.1", 0))
    real.listen()

    async def main():
        loop = asyncio.get_running_loop()
        accepting = asyncio.create_task(loop.sock_accept(real))
        await asyncio.sleep(0)
        _, writer = await asyncio.open_connection(*real.getsockname())
        accepted, address = await accepting
        assert address == writer.get_extra_info("sockname")
        accepted.close()
        writer.close()

    on_a_node(main)


def test_a_real_socket_is_adopted_by_its_number():
    """As tornado hands over the sockets that its servers listen on, which a test has made before its loop runs."""
    loop = sim.new_event_loop()
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    listening.setblocking(False)
    number = listening.fileno()
    accepted = []

    async def main():
        asyncio.get_running_loop().add_reader(number, lambda: accepted.append(listening.accept()))
        _, writer = await asyncio.open_connection(*listening.getsockname())
        await asyncio.sleep(1)
        writer.close()
        assert len(accepted) == 1
        accepted[0][0].close()
        assert listening.fileno() == number
        assert asyncio.get_running_loop().remove_reader(number)

    loop.run_until_complete(main())
    with socket.socket() as another:
        assert another.fileno() != number  # nothing else has it meanwhile
    listening.close()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(number)
    loop.close()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX])
def test_a_real_socket_that_listens_is_adopted_by_who_connects_to_it(family, tmp_path):
    """As a fixture makes it that is no coroutine, for a test that is one."""
    sim.run(asyncio.sleep(0))  # from the first simulation on they are known
    with socket.socket(family) as listening:
        listening.bind(("127.0.0.1", 0) if family == socket.AF_INET else str(tmp_path / "socket"))
        listening.listen()

        async def main():
            with socket.socket(family) as client:
                client.connect(listening.getsockname())
                server, _ = listening.accept()
                client.sendall(b"hello")
                with server:
                    return server.recv(10)

        assert on_a_node(main) == b"hello"


def test_of_several_real_listeners_of_a_port_the_oldest_is_adopted():
    made = [socket.socket() for _ in range(8)]
    for each in made:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        each.bind(("127.0.0.1", made[0].getsockname()[1]))
        each.listen()

    async def main():
        _, writer = await asyncio.open_connection(*made[0].getsockname())
        writer.close()

    on_a_node(main)
    assert [type(each) is Adopted for each in made] == [True] + 7 * [False]
    for each in made:
        each.close()


def test_a_real_listener_at_the_very_address_comes_before_one_at_all():
    with socket.socket() as wide, socket.socket() as narrow:
        for each, ip in ((wide, "0.0.0.0"), (narrow, "127.0.0.1")):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            each.bind((ip, 0 if each is wide else wide.getsockname()[1]))
            each.listen()
        address = narrow.getsockname()

        async def main():
            _, writer = await asyncio.open_connection(*address)
            writer.close()

        on_a_node(main)
        assert (type(wide), type(narrow)) == (socket.socket, Adopted)


def test_a_real_socket_that_listens_is_adopted_when_it_accepts():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()

        def serve():
            with listening.accept()[0] as one:
                one.sendall(one.recv(10).upper())

        async def main():
            serving = asyncio.ensure_future(asyncio.to_thread(serve))
            await asyncio.sleep(1)
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"hello")
            assert await reader.read() == b"HELLO"
            writer.close()
            await serving

        on_a_node(main)


def test_a_server_of_a_real_thread_is_left_to_it():
    sim.run(asyncio.sleep(0))
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            listening.accept()[0].close()

        served = Thread(target=serve)
        served.start()

        async def main():
            with pytest.raises(NotSimulated, match="make the server on the node"):
                await asyncio.open_connection(*listening.getsockname())

        on_a_node(main)
        socket.create_connection(listening.getsockname()).close()
        served.join()


def test_a_real_socket_is_adopted_when_it_connects_by_itself(real):
    with socket.socket() as outside:
        outside.bind(("127.0.0.1", 0))

        async def main():
            loop = asyncio.get_running_loop()
            assert real.connect_ex(outside.getsockname()) == errno.EINPROGRESS  # of another world: nobody is there
            await asyncio.sleep(1)
            assert real.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
            server = await asyncio.start_server(greet, *outside.getsockname())
            with pytest.raises(ConnectionAbortedError):  # Linux: the first after one that was refused
                real.connect(outside.getsockname())
            with pytest.raises(BlockingIOError):
                real.connect(outside.getsockname())
            assert await loop.sock_recv(real, 10) == b"hello"
            server.close()
            real.close()

        on_a_node(main)


def test_an_adopted_socket_connects_and_is_used_by_the_same_object(real):
    async def main():
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        await loop.sock_connect(real, server.sockets[0].getsockname())
        assert real.getpeername() == server.sockets[0].getsockname()
        assert await loop.sock_recv(real, 10) == b"hello"
        real.close()
        assert real.fileno() == -1
        server.close()

    on_a_node(main)


def test_an_adopted_socket_is_closed_by_with_and_not_by_its_file(real):
    async def main():
        loop = asyncio.get_running_loop()
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        real.setblocking(False)
        with real:
            await loop.sock_connect(real, server.sockets[0].getsockname())
            with real.makefile("rb"):
                pass
            assert real.fileno() >= 0, "the file was closed alone"
            assert await loop.sock_recv(real, 100)
        assert real.fileno() < 0
        server.close()

    sim.run(main())


def test_a_real_socket_that_is_connected_cannot_be_adopted(real):
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as one:

        async def main():
            with pytest.raises(NotSimulated, match="connect it on the simulated node"):
                await asyncio.get_running_loop().sock_sendall(one, b"x")

        on_a_node(main)


def test_a_name_that_the_node_has_not_is_refused_as_by_bind(real):
    real.bind(("127.0.0.1", 0))

    async def main():
        taken = await asyncio.start_server(lambda reader, writer: None, *real.getsockname())
        with pytest.raises(OSError, match="in use"):
            await asyncio.start_server(lambda reader, writer: None, sock=real)
        taken.close()

    on_a_node(main)


def _join_a_group():
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, bytes(8))


@pytest.mark.parametrize(
    ("use", "instead"),
    [
        (lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW), "TCP, UDP and Unix sockets"),
        (lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), "UDP on 127.0.0.1"),
        (lambda: socket.socket(fileno=0), "make one on the node"),
        (lambda: socket.create_connection(("10.0.0.2", 1)), "asyncio.to_thread"),
        (lambda: socket.socket().connect(("10.0.0.2", 1)), "setblocking"),
        (lambda: _listening().accept(), "setblocking"),
        (lambda: socket.socketpair()[0].recv(1), "asyncio's streams"),
        (_join_a_group, "to each node"),
    ],
)
def test_what_a_simulated_socket_cannot_do_is_refused_with_what_to_use_instead(use, instead):
    async def main():
        with pytest.raises(NotSimulated, match=instead):
            use()

    on_a_node(main)


def _listening():
    made = socket.socket()
    made.listen()
    return made


def test_a_socket_pair_is_connected():
    async def main():
        one, other = socket.socketpair()
        one.send(b"hello")
        received = other.recv(10)
        one.close()
        return received, other.recv(10)

    assert on_a_node(main) == (b"hello", b"")


def test_the_module_socket_answers_from_the_simulation():
    async def main():
        return (
            socket.gethostname(),
            socket.getfqdn(),
            socket.gethostbyname("main"),
            socket.gethostbyname_ex("main"),
            socket.gethostbyaddr("10.0.0.1"),
            socket.getnameinfo(("10.0.0.1", 7777), 0),
            socket.getaddrinfo("main", 7777, type=socket.SOCK_STREAM)[0][4],
        )

    name, full, ip, more, back, info, address = on_a_node(main)
    assert (name, full, ip) == ("main", "main", "10.0.0.1")
    assert more == ("main", [], ["10.0.0.1"])
    assert back == ("main", [], ["10.0.0.1"])
    assert info == ("main", "7777")
    assert address == ("10.0.0.1", 7777)
    assert socket.gethostname() != "main"


def test_names_captured_at_import_answer_from_the_simulation():
    from importlib import import_module

    module = sys.modules["tests_captured"] = type(sys)("tests_captured")
    exec("from socket import gethostname", vars(module))
    try:

        async def main():
            return import_module("tests_captured").gethostname()

        assert on_a_node(main) == "main"
    finally:
        del sys.modules["tests_captured"]


def test_a_closed_socket_is_let_go_of():
    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(10):
            socket.socket().close()
        return len(loop._selector.sockets)

    assert on_a_node(main) == 0


def test_a_unix_socket_of_the_real_machine_is_refused(tmp_path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)

        async def main():
            with pytest.raises(NotSimulated, match="make its server on the node"):
                await asyncio.open_unix_connection(path)

        on_a_node(main)


def test_a_client_that_was_connecting_off_the_nodes_connects_to_the_simulated_server(real):
    """Its loop finds it writable when it is connected, and not before."""
    loop = sim.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(greet, "127.0.0.1", 0))
    address = server.sockets[0].getsockname()

    async def main():
        writable = asyncio.Event()
        loop.add_writer(real, writable.set)
        await writable.wait()
        loop.remove_writer(real)
        assert real.getpeername() == address
        assert await loop.sock_recv(real, 100) == b"hello"
        server.close()

    with pytest.raises(BlockingIOError):  # the real network's answer comes later
        real.connect(address)
    loop.run_until_complete(main())
    loop.close()
