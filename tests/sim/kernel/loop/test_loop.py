import asyncio
import contextlib
import socket
import ssl
from contextvars import copy_context

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

import sim
from sim import NotSimulated
from sim.kernel.loop import run as turns
from sim.kernel.loop.handles import Handle, TimerHandle
from sim.kernel.running import outside


def on_a_node(function):
    """Run a coroutine function on a node of its own, in virtual time."""
    return sim.run(function())


@pytest.mark.parametrize(
    "name",
    [
        "_ready",
        "_scheduled",
        "_timer_cancelled_count",
        "_thread_id",
        "_stopping",
        "_closed",
        "_asyncgens",
        "_transports",
        "_selector",
        "_task_factory",
    ],
)
def test_asyncio_still_has_the_private_attributes_that_the_loop_uses(name):
    loop = asyncio.SelectorEventLoop()
    try:
        assert hasattr(loop, name)
    finally:
        loop.close()


@pytest.mark.parametrize("tried", [True, False])
def test_a_loop_begins_with_what_asyncios_constructor_sets(tried, monkeypatch):
    monkeypatch.setattr(turns, "IS_TRIED", tried)
    plain, ours = asyncio.BaseEventLoop(), sim.new_event_loop()
    try:
        expected = {name: value for name, value in vars(plain).items() if not hasattr(value, "__len__")}
        assert expected.keys() >= {"_debug", "_task_factory", "slow_callback_duration"}
        assert {name: getattr(ours, name, "not set") for name in expected} == expected
        # What is made anew for each loop.
        assert vars(plain).keys() - expected.keys() == {"_ready", "_scheduled", "_asyncgens"}
    finally:
        plain.close()
        ours.close()


@pytest.mark.parametrize("debug", [True, False])
def test_a_loop_begins_in_debug_mode_where_the_environment_says_so(debug, monkeypatch):
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1" if debug else "")

    async def main():
        return asyncio.get_running_loop().get_debug()

    assert sim.run(main()) is debug


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=300),
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 299)), max_size=300),
)
def test_of_all_timers_those_run_that_were_not_cancelled_each_at_its_time(delays, cancels):
    """Cancelled ones are thrown out in three ways: the heap's last at once, many together, the rest when due."""
    fired = []

    async def main():
        loop = asyncio.get_running_loop()
        timers = [loop.call_later(delay, lambda n=n: fired.append((loop.time(), n))) for n, delay in enumerate(delays)]
        for pause, which in sorted(cancels):
            await asyncio.sleep(pause - loop.time())
            timers[which % len(timers)].cancel()
        await asyncio.sleep(30 - loop.time())
        assert not loop._scheduled
        assert loop._timer_cancelled_count == 0

    sim.run(main())
    first = {which % len(delays): pause for pause, which in sorted(cancels, reverse=True)}
    assert fired == sorted(fired, key=lambda each: each[0])
    # At the very time of its cancellation a timer may have run already.
    assert {n for _, n in fired} <= {n for n, delay in enumerate(delays) if delay <= first.get(n, 99)}
    assert {n for _, n in fired} >= {n for n, delay in enumerate(delays) if delay < first.get(n, 99)}
    assert all(when == delays[n] for when, n in fired)


def test_what_asyncio_sleeps_by_is_known_to_the_loop():
    async def main():
        loop = asyncio.get_running_loop()
        sleeping = asyncio.ensure_future(asyncio.sleep(1, "woke"))
        cancelled = asyncio.ensure_future(asyncio.sleep(1))
        await asyncio.sleep(0)
        assert {timer._callback for timer in loop._scheduled} == {turns._WAKE_UP}
        cancelled.cancel()
        done, _ = await asyncio.wait([sleeping, cancelled])
        assert [each.cancelled() for each in (sleeping, cancelled)] == [False, True]
        told = []
        loop.set_exception_handler(lambda loop, context: told.append(context["message"]))
        done = loop.create_future()
        done.set_result("before")
        loop.call_later(1, turns._WAKE_UP, done, "too late")
        gone = loop.create_future()
        gone.cancel()
        loop.call_later(1, turns._WAKE_UP, gone, "nobody waits")
        await asyncio.sleep(2)
        return sleeping.result(), done.result(), loop.time(), told

    result, done, time, (told,) = sim.run(main())
    assert (result, done, time) == ("woke", "before", 3.0)
    assert "_set_result_unless_cancelled" in told


def test_timers_of_one_time_run_in_the_order_in_which_they_were_set():
    fired = []

    async def main():
        loop = asyncio.get_running_loop()
        timers = [loop.call_at(1.0, fired.append, n) for n in range(20)]
        for n in (3, 4, 17):
            timers[n].cancel()
        await asyncio.sleep(2)

    sim.run(main())
    assert fired == [n for n in range(20) if n not in (3, 4, 17)]


def test_timers_stand_where_asyncio_keeps_them():
    with contextlib.closing(sim.new_event_loop()) as loop:
        later, sooner = loop.call_later(2.0, print), loop.call_later(1.0, print)
        loop.call_later(3.0, print).cancel()
        assert loop._scheduled == [sooner, later]
        loop.set_debug(True)
        in_debug_mode = loop.call_at(1.5, print)
        assert loop._scheduled == [sooner, in_debug_mode, later]
    assert loop._scheduled == []


def test_a_timer_costs_no_more_in_debug_mode_where_many_wait(monkeypatch):
    """asyncio's own would put it into a list that is made, and sorted, each time."""
    with contextlib.closing(sim.new_event_loop()) as loop:
        loop.set_debug(True)
        monkeypatch.setattr(type(loop), "_scheduled", None)
        timers = [loop.call_later(1.0, print), loop.call_at(1.0, print)]
        assert [each._source_traceback[-1].filename for each in timers] == [__file__, __file__]
        monkeypatch.undo()
        assert loop._scheduled == timers


def test_a_timer_that_is_set_between_two_runs_fires_at_its_time_whatever_waits_already():
    with sim.Simulation(1) as simulation:
        node = simulation.add_node("a")
        node.start(asyncio.sleep, 10.0)
        simulation.run(until=1.0)
        fired = []
        node.loop.call_at(3.0, lambda: fired.append(simulation.now))
        simulation.run(until=20.0)
        assert fired == [3.0]


def test_a_loop_has_a_slot_for_all_that_asyncio_sets():
    """A dictionary beside the slots is a third of a kilobyte a node."""
    with contextlib.closing(sim.new_event_loop()) as loop:
        assert vars(loop) == {}


def test_handles_have_asyncios_slots_all_of_them_set():
    loop, context = sim.new_event_loop(), copy_context()
    with contextlib.closing(loop):
        pairs = [
            (loop.call_soon(print, 1, context=context), asyncio.Handle(print, (1,), loop, context)),
            (loop.call_at(2.0, print, 1, context=context), asyncio.TimerHandle(2.0, print, (1,), loop, context)),
            (loop.call_later(2.0, print, 1, context=context), asyncio.TimerHandle(2.0, print, (1,), loop, context)),
        ]
        for ours, theirs in pairs:
            assert type(ours) in (Handle, TimerHandle)
            slots = [slot for kind in type(theirs).__mro__ for slot in getattr(kind, "__slots__", ())]
            different = [s for s in slots if s != "__weakref__" and getattr(ours, s) != getattr(theirs, s)]
            # Ours is in the heap.
            assert different == (["_scheduled"] if isinstance(ours, TimerHandle) else [])
            ours.cancel()
            assert ours.cancelled()


@pytest.mark.parametrize(
    "name",
    [
        "_ensure_resolved",
        "_add_reader",
        "_remove_reader",
        "_add_writer",
        "_remove_writer",
        "_accept_connection",
        "_sock_connect_cb",
        "_timer_handle_cancelled",
        "_make_socket_transport",
        "_make_datagram_transport",
        "_create_connection_transport",
        "_create_server_getaddrinfo",
        "_sock_sendfile_native",
        "_sock_sendfile_fallback",
        "_make_self_pipe",
        "_close_self_pipe",
        "_write_to_self",
        "_asyncgen_firstiter_hook",
        "_asyncgen_finalizer_hook",
        "create_unix_connection",
        "create_unix_server",
        "_call_soon",
        "_check_closed",
        "_check_running",
    ],
)
def test_asyncio_still_has_the_private_methods_that_the_loop_uses(name):
    assert callable(getattr(asyncio.SelectorEventLoop, name))


def test_a_function_runs_in_the_executor_in_its_turn():
    order = []

    async def main():
        loop = asyncio.get_running_loop()
        first = loop.run_in_executor(None, order.append, 1)
        order.append(0)
        second = asyncio.create_task(asyncio.to_thread(order.append, 2))
        await asyncio.gather(first, second)
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)

    on_a_node(main)
    assert order == [0, 1, 2]


def test_names_are_resolved_and_unknown_ones_refused():
    async def main():
        loop = asyncio.get_running_loop()
        assert (await loop.getaddrinfo("main", 80, type=socket.SOCK_STREAM))[0][4] == ("10.0.0.1", 80)
        assert (await loop.getaddrinfo("localhost", 80))[0][4] == ("127.0.0.1", 80)
        assert await loop.getnameinfo(("10.0.0.1", 80), socket.NI_NUMERICSERV) == ("main", "80")
        with pytest.raises(socket.gaierror, match="no node is called 'example'; there are: main"):
            await loop.getaddrinfo("example", 80)

    on_a_node(main)


def test_a_programs_own_reader_is_asked_whatever_its_owner_has_for_attributes():
    class Reader:
        def __init__(self, sock):
            self.sock, self.got = sock, []

        def sink(self, data):
            raise AssertionError("nobody told the loop of this")

        def read(self):
            self.got.append(self.sock.recv(100))

    async def main():
        loop = asyncio.get_running_loop()
        one, other = socket.socketpair()
        reader = Reader(one)
        loop.add_reader(one, reader.read)
        for data in (b"first", b"second"):
            other.send(data)
            await asyncio.sleep(1)
        loop.remove_reader(one)
        one.close()
        other.close()
        return reader.got

    assert on_a_node(main) == [b"first", b"second"]


def test_what_a_machine_does_not_have_is_refused_with_what_to_use_instead():
    async def main():
        loop = asyncio.get_running_loop()
        with pytest.raises(NotSimulated, match="a node of its own"):
            await asyncio.create_subprocess_exec("true")
        with pytest.raises(NotSimulated, match="not a simulated socket"):
            loop.add_reader(0, print)
        with socket.socket() as blocking, pytest.raises(NotSimulated, match="would stop the whole simulation"):
            blocking.connect(("10.0.0.2", 80))
        with pytest.raises(NotSimulated, match="call it in a thread"):
            socket.create_connection(("10.0.0.2", 80))

    on_a_node(main)


async def talk(open_connection, start_server, **tls):
    async def echo(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
        writer.close()

    server = await start_server(echo)
    reader, writer = await open_connection(server)
    writer.write(b"hello\n")
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(1)  # the other end closes as well
    server.close()
    return answer


def test_unix_sockets_live_in_the_simulation(tmp_path):
    path = str(tmp_path / "socket")

    async def main():
        with pytest.raises(FileNotFoundError):
            await asyncio.open_unix_connection(path)
        answer = await talk(
            lambda _: asyncio.open_unix_connection(path), lambda handler: asyncio.start_unix_server(handler, path)
        )
        with outside():
            assert list(tmp_path.iterdir()) == []
        return answer

    assert on_a_node(main) == b"HELLO\n"


def test_tls_runs_over_simulated_sockets():
    authority = trustme.CA()
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("main").configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)

    async def main():
        return await talk(
            lambda server: asyncio.open_connection("main", server.sockets[0].getsockname()[1], ssl=client_side),
            lambda handler: asyncio.start_server(handler, "0.0.0.0", 0, ssl=server_side),
        )

    assert on_a_node(main) == b"HELLO\n"


def test_a_callback_that_raises_is_recorded_and_goes_to_the_handler():
    seen = []
    simulation = sim.Simulation(1)

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: seen.append(type(context["exception"])))
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    simulation.run_until_complete(simulation.add_node("a").start(main))
    simulation.close()
    assert seen == [ZeroDivisionError]
    unhandled = [e for e in simulation.trace.events() if e.name == "unhandled"]
    assert [(e.node, e.fields["error"]) for e in unhandled] == [("a", "ZeroDivisionError: division by zero")]


def test_low_level_sockets_of_the_loop():
    async def main():
        server = await asyncio.start_server(lambda _, other: other.close(), "127.0.0.1", 0)
        listening = server.sockets[0]
        assert (listening.family, listening.type) == (socket.AF_INET, socket.SOCK_STREAM)
        _, writer = await asyncio.open_connection(*listening.getsockname())
        assert writer.get_extra_info("socket").getpeername() == listening.getsockname()
        writer.close()
        server.close()
        await asyncio.sleep(1)

    on_a_node(main)


def test_a_protocol_factory_that_raises_leaves_no_connection():
    async def main():
        def factory():
            raise ValueError("none today")

        ended = asyncio.Event()

        async def serve(reader, writer):
            assert await reader.read() == b""
            writer.close()
            ended.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        with pytest.raises(ValueError, match="none today"):
            await asyncio.get_running_loop().create_connection(factory, *server.sockets[0].getsockname())
        await ended.wait()
        await asyncio.sleep(0)

    sim.run(main())


def test_many_cancelled_timers_are_thrown_out():
    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(1000):
            loop.call_later(1e6, print).cancel()
        await asyncio.sleep(1)
        return len(loop._scheduled)

    assert on_a_node(main) <= 101


def test_a_closed_loop_watches_nothing_and_says_so_to_whoever_stops_watching():
    """As a server does whose coroutine is dropped, with its loop, by somebody who closed no simulation."""
    loop = sim.new_event_loop()
    loop.close()
    assert loop.remove_reader(1_000_001) is False
    assert loop.remove_writer(1_000_001) is False


def test_to_watch_a_closed_socket_no_longer_is_no_error():
    async def main():
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        descriptor = sock.fileno()
        loop.add_reader(descriptor, print)
        sock.close()
        loop.remove_reader(descriptor)
        return loop.remove_reader(descriptor), loop.remove_writer(descriptor)

    assert on_a_node(main) == (False, False)


@pytest.mark.parametrize("make", [sim.new_event_loop, asyncio.new_event_loop], ids=["sim", "asyncio"])
def test_stop_in_mid_turn_ends_with_that_turn(make):
    """Callbacks of the turn still run, what they schedule waits until the loop is run again."""
    ran = []

    def stops():
        ran.append("stops")
        loop.stop()
        loop.call_soon(ran.append, "of the next turn")

    loop = make()
    loop.call_soon(stops)
    loop.call_soon(ran.append, "of the same turn")
    loop.run_forever()
    assert ran == ["stops", "of the same turn"]
    loop.call_soon(loop.stop)
    loop.run_forever()
    assert ran == ["stops", "of the same turn", "of the next turn"]
    loop.close()
