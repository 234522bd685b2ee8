import asyncio
import contextlib
import gc
import os
import signal
import socket
import time

import pytest

from sim import Livelock, NodeDown, Simulation, SimulationError

PORT = 7000


class Inbox(asyncio.DatagramProtocol):
    """Notes what comes, and when."""

    def __init__(self):
        self.got = []

    def connection_made(self, transport):
        self.transport = transport
        self.loop = asyncio.get_running_loop()

    def datagram_received(self, data, addr):
        self.got.append((self.loop.time(), data))


async def listen(inbox, host="0.0.0.0"):
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: inbox, (host, PORT))
    try:
        await asyncio.Event().wait()
    finally:
        transport.close()


async def send(to, count, every=1.0):
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Inbox, ("0.0.0.0", 0))
    for i in range(count):
        transport.sendto(str(i).encode(), (to, PORT))
        await asyncio.sleep(every)
    transport.close()


def two_nodes(**link):
    simulation = Simulation(1)
    simulation.network.default_link(**(link or {"latency": 0.001}))
    return simulation, simulation.add_node("a"), simulation.add_node("b")


def test_a_crash_is_silence_and_nothing_of_the_node_goes_on():
    simulation, a, b = two_nodes()
    said, after = [], []

    async def server(reader, writer):
        said.append(await reader.read())

    async def serve():
        async with await asyncio.start_server(server, "0.0.0.0", PORT) as running:
            await running.serve_forever()

    async def talk():
        _, writer = await asyncio.open_connection("b", PORT)
        try:
            await asyncio.sleep(1000)
        finally:
            after.append("finally ran")
            writer.close()

    b.start(serve)
    a.start(talk)
    simulation.run(until=1.0)
    assert a.crash()
    assert not a.crash()
    gc.collect()
    simulation.run(until=500.0)
    assert (said, after) == ([], [])
    simulation.close()
    assert said in ([], [b""])


def test_the_finally_of_a_crashed_program_has_no_effect():
    simulation, a, b = two_nodes()
    inbox = Inbox()

    async def talk():
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Inbox, ("0.0.0.0", 0))
        try:
            await asyncio.sleep(1000)
        finally:
            transport.sendto(b"from beyond", ("b", PORT))
            a.record("haunted")

    b.start(listen, inbox)
    a.start(talk)
    simulation.run(until=1.0)
    a.crash()
    simulation.run(until=10.0)
    simulation.close()
    assert inbox.got == []
    assert "haunted" not in [event.name for event in simulation.trace.events()]


def test_the_finally_of_a_crashed_program_may_await_and_fail_unheard(capfd, caplog):
    simulation, a, _ = two_nodes()

    async def generate():
        try:
            yield 1
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(1)

    async def inner():
        try:
            async for _ in generate():
                await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(1)
            await asyncio.get_running_loop().create_datagram_endpoint(Inbox, ("0.0.0.0", 0))

    async def main():
        async with asyncio.TaskGroup() as group:
            group.create_task(inner())
            group.create_task(inner())

    a.start(main)
    simulation.run(until=1.0)
    a.crash()
    simulation.close()
    del simulation, a
    gc.collect()
    assert capfd.readouterr().err == ""
    assert caplog.records == []


def test_a_node_may_crash_itself():
    simulation, a, _ = two_nodes()
    steps = []

    async def main():
        steps.append(1)
        a.crash()
        steps.append(2)
        await asyncio.sleep(0)
        steps.append(3)

    a.start(main)
    simulation.run(until=1.0)
    assert steps == [1, 2]
    simulation.close()


def test_a_killed_process_ends_its_connections_and_its_host_refuses_new_ones():
    simulation, a, b = two_nodes()

    async def hold(reader, writer):
        await asyncio.sleep(1000)
        writer.close()

    async def serve():
        async with await asyncio.start_server(hold, "0.0.0.0", PORT) as running:
            await running.serve_forever()

    async def talk():
        reader, writer = await asyncio.open_connection("b", PORT)
        data = await reader.read()
        ended = asyncio.get_running_loop().time()
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("b", PORT)
        return data, ended

    b.start(serve)
    task = a.start(talk, delay=0.1)
    simulation.run(until=5.0)
    assert b.kill()
    data, ended = simulation.run_until_complete(task)
    assert data == b""
    assert ended == pytest.approx(5.001)
    simulation.close()


def test_stop_cancels_main_which_may_take_its_time():
    simulation, a, _ = two_nodes()
    seen = []

    async def main():
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            await asyncio.sleep(2.0)
            seen.append(asyncio.get_running_loop().time())
            raise

    task = a.start(main)
    simulation.run(until=1.0)
    a.stop()
    simulation.run(until=10.0)
    assert task.cancelled()
    assert seen == [3.0]
    simulation.close()


def test_stop_calls_the_handler_that_is_installed():
    simulation, a, _ = two_nodes()

    async def main():
        asked = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
        await asked.wait()
        return "in order"

    task = a.start(main)
    simulation.run(until=1.0)
    a.stop()
    assert simulation.run_until_complete(task) == "in order"
    simulation.close()


@pytest.mark.parametrize("death", ["crash", "kill"])
def test_restart_runs_the_entry_again_and_the_directory_was_kept(death):
    simulation, a, b = two_nodes()
    inbox = Inbox()

    async def main():
        notes = a.directory / "starts"
        notes.write_text(notes.read_text() + "x" if notes.exists() else "x")
        await listen(inbox)

    a.start(main)
    b.start(send, "a", 30)
    simulation.run(until=5.5)
    getattr(a, death)()
    simulation.run(until=10.5)
    before = len(inbox.got)
    a.restart()
    simulation.run(until=20.5)
    assert (a.directory / "starts").read_text() == "xx"
    assert before == 6
    assert len(inbox.got) == 16
    simulation.close()
    assert not a.directory.exists()


@pytest.mark.parametrize("death", ["crash", "kill"])
def test_an_abstract_name_is_free_again_after_a_restart(death, tmp_path):
    simulation, a, b = two_nodes()
    bound = []

    async def main(own):
        for name in ("\0of this process", own):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(own)
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(name)
            bound.append(sock)
        assert os.listdir(tmp_path) == [os.path.basename(own)]
        await asyncio.sleep(1000)

    a.start(main, str(tmp_path / "a"))
    b.start(main, str(tmp_path / "b"))
    simulation.run(until=1)
    getattr(a, death)()
    simulation.run(until=2)
    a.restart()
    simulation.run(until=3)
    assert len(bound) == 6
    simulation.close()


def test_a_directory_first_asked_for_in_the_executor_is_no_other_simulations():
    async def main(node):
        await asyncio.to_thread(lambda: node.directory)

    simulations = [Simulation(1), Simulation(1)]
    for simulation in simulations:
        node = simulation.add_node("a")
        simulation.run_until_complete(node.start(main, node))
    first, second = (simulation.nodes["a"].directory for simulation in simulations)
    assert first != second
    simulations[0].close()
    assert (first.exists(), second.exists()) == (False, True)
    simulations[1].close()


def test_restarts_without_end_at_one_time_are_told():
    async def main():
        node.restart()

    with Simulation(1) as simulation:
        node = simulation.add_node("a")
        node.start(main)
        with pytest.raises(Livelock, match="a has been restarted 1001 times at 0 s without time advancing"):
            simulation.run(until=1)


def test_a_node_started_with_a_bare_coroutine_cannot_be_restarted():
    simulation, a, _ = two_nodes()
    a.start(asyncio.sleep(1))
    simulation.run(until=2.0)
    with pytest.raises(SimulationError, match="pass the coroutine function"):
        a.restart()
    simulation.close()


def test_starting_something_on_a_node_that_is_down_is_refused():
    simulation, a, _ = two_nodes()
    a.crash()
    with pytest.raises(NodeDown, match="restart"):
        a.start(listen, Inbox())
    simulation.close()


@pytest.mark.parametrize("stall", ["pause", "block"])
def test_a_stalled_node_gets_what_queued_up_one_datagram_a_turn(stall):
    simulation, a, b = two_nodes()
    inbox = Inbox()
    late = []

    async def main():
        asyncio.get_running_loop().call_later(
            2.0, lambda: late.append((asyncio.get_running_loop().time(), len(inbox.got)))
        )
        await listen(inbox)

    a.start(main)
    b.start(send, "a", 10, 0.5)
    simulation.run(until=1.2)
    assert len(inbox.got) == 3
    getattr(a, stall)(3.0)
    simulation.run(until=4.19)
    assert len(inbox.got) == 3
    simulation.run(until=4.3)
    assert len(inbox.got) == 9
    # As on Linux: the turn that read the first of them ran the late timer as well.
    assert late == [(4.2, 4)]
    simulation.close()


def test_the_receive_buffer_of_a_paused_node_is_finite():
    simulation, a, b = two_nodes()
    inbox = Inbox()
    a.start(listen, inbox)
    simulation.run(until=0.5)
    a.pause(60.0)
    b.start(send, "a", 1000, 0.01)
    simulation.run(until=100.0)
    assert 200 < len(inbox.got) < 300
    assert [e.fields["reason"] for e in simulation.trace.events() if e.name == "dropped"][-1] == "buffer_full"
    simulation.close()


def test_a_paused_host_goes_on_to_accept_and_acknowledge():
    simulation, a, b = two_nodes()
    got = []

    async def serve():
        async def handle(reader, writer):
            got.append(await reader.read())
            writer.close()

        async with await asyncio.start_server(handle, "0.0.0.0", PORT) as running:
            await running.serve_forever()

    async def talk():
        _, writer = await asyncio.open_connection("a", PORT)
        writer.write(b"hello")
        writer.write_eof()
        connected = asyncio.get_running_loop().time()
        await writer.drain()
        writer.close()
        return connected

    a.start(serve)
    simulation.run(until=0.5)
    a.pause(10.0)
    task = b.start(talk)
    simulation.run(until=5.0)
    assert task.result() == pytest.approx(0.502)
    assert got == []
    simulation.run(until=11.0)
    assert got == [b"hello"]
    simulation.close()


@pytest.mark.parametrize(("first", "second", "end"), [(5.0, 1.0, 6.0), (2.0, 6.0, 8.0)])
def test_of_two_stalls_that_overlap_the_longer_counts(first, second, end):
    with Simulation(1) as simulation:
        a = simulation.add_node("a")
        woken = []

        async def wake():
            await asyncio.sleep(1.5)
            woken.append(asyncio.get_running_loop().time())

        a.start(wake)
        simulation.run(until=1.0)
        a.pause(first)
        simulation.run(until=2.0)
        a.block(second)
        simulation.run(until=20.0)
        assert woken == [pytest.approx(end)]
        # And it can stand still again.
        a.pause(1.0)
        assert a.stalled
        simulation.run(until=22.0)
        assert not a.stalled


def test_time_sleep_on_a_node_blocks_that_node_alone():
    simulation, a, b = two_nodes()
    inbox = Inbox()
    seen = []

    async def main():
        task = asyncio.create_task(listen(inbox))
        await asyncio.sleep(1.2)
        before = time.monotonic()
        time.sleep(3.0)  # noqa: ASYNC251
        seen.append(time.monotonic() - before)
        await asyncio.sleep(0)
        seen.append(time.monotonic())
        await task

    a.start(main)
    b.start(send, "a", 10, 0.5)
    simulation.run(until=4.1)
    assert len(inbox.got) == 3
    simulation.run(until=10.0)
    assert seen == [3.0, 4.2]
    assert len(inbox.got) == 10
    simulation.close()


def test_a_late_timer_of_a_blocked_loop_is_late():
    simulation, a, _ = two_nodes()
    fired = []

    async def main():
        asyncio.get_running_loop().call_later(1.0, lambda: fired.append(asyncio.get_running_loop().time()))
        await asyncio.sleep(0.5)
        time.sleep(2.0)  # noqa: ASYNC251

    a.start(main)
    simulation.run(until=5.0)
    assert fired == [2.5]
    simulation.close()


def test_each_node_has_a_loopback_of_its_own():
    simulation, a, b = two_nodes()

    async def main(answer):
        async def handle(reader, writer):
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", PORT)
        reader, writer = await asyncio.open_connection("localhost", PORT)
        got = await reader.read()
        writer.close()
        server.close()
        return got

    tasks = [a.start(main, b"a"), b.start(main, b"b")]
    simulation.run(until=1.0)
    assert [task.result() for task in tasks] == [b"a", b"b"]
    simulation.close()
