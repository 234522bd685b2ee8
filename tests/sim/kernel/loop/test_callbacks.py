"""Whatever a program's callbacks raise stays on its node: the simulation goes on, and the trace has it."""

import asyncio
import signal
import sys

import pytest

import sim
from sim import Simulation

PORT = 7000


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no words")


class Bad(asyncio.Protocol, asyncio.DatagramProtocol):
    """Raises in one of its methods."""

    def __init__(self, name):
        self._name = name

    def __getattribute__(self, attribute):
        if attribute in ("_name", "__class__", "__dict__"):
            return super().__getattribute__(attribute)
        if attribute == self._name:

            def raises(*_):
                raise RuntimeError(f"in {attribute}")

            return raises
        return super().__getattribute__(attribute)


def schedule(loop):
    loop.call_soon(fail, "call_soon")


def timer(loop):
    loop.call_later(0.1, fail, "timer")


def done(loop):
    future = loop.create_future()
    future.add_done_callback(lambda _: fail("done"))
    future.set_result(None)


def on_signal(loop):
    loop.add_signal_handler(signal.SIGTERM, fail, "signal")


def forgotten(loop):
    future = loop.create_future()
    future.set_exception(RuntimeError("in forgotten"))


def unprintable(loop):
    def raises():
        raise Unprintable

    loop.call_soon(raises)


def handler(loop):
    def raises(*_):
        raise RuntimeError("in handler")

    loop.set_exception_handler(raises)
    loop.call_soon(fail, "handled")


def fail(where):
    raise RuntimeError(f"in {where}")


@pytest.mark.parametrize("how", [schedule, timer, done, on_signal, forgotten, unprintable, handler])
def test_a_callback_that_raises_is_recorded_and_the_simulation_goes_on(how):
    async def main():
        how(asyncio.get_running_loop())
        await asyncio.sleep(2)
        return "went on"

    simulation = Simulation(1)
    node = simulation.add_node("a")
    task = node.start(main)
    simulation.run(until=1.0)
    if how is on_signal:
        node.stop()
    assert simulation.run_until_complete(task) == "went on"
    assert "unhandled" in [event.name for event in simulation.trace]
    simulation.close()


@pytest.mark.parametrize("name", ["connection_made", "data_received", "eof_received", "connection_lost"])
def test_a_protocol_that_raises_is_recorded_and_the_simulation_goes_on(name):
    async def main():
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Bad(name), "127.0.0.1", PORT)
        _, writer = await asyncio.open_connection("127.0.0.1", PORT)
        writer.write(b"x")
        await asyncio.sleep(1)
        writer.write_eof()
        await asyncio.sleep(1)
        writer.close()
        server.close()
        await asyncio.sleep(1)
        return "went on"

    simulation = Simulation(1)
    assert simulation.run_until_complete(simulation.add_node("a").start(main)) == "went on"
    found = [event.fields["error"] for event in simulation.trace if event.name == "unhandled"]
    assert f"RuntimeError: in {name}" in found
    simulation.close()


def test_what_an_async_generator_raises_when_it_is_let_go_is_recorded():
    async def generate():
        try:
            yield 1
        finally:
            raise RuntimeError("in generator")

    async def main():
        async for _ in generate():
            break
        await asyncio.sleep(1)
        return "went on"

    simulation = Simulation(1)
    assert simulation.run_until_complete(simulation.add_node("a").start(main)) == "went on"
    simulation.close()
    assert "RuntimeError: in generator" in [e.fields["error"] for e in simulation.trace if e.name == "unhandled"]


def test_a_function_of_the_executor_that_raises_raises_where_it_is_awaited():
    async def main():
        loop = asyncio.get_running_loop()
        for error in (RuntimeError, SystemExit):
            with pytest.raises(error):
                await loop.run_in_executor(None, _raise, error)
        return "went on"

    with Simulation(1) as simulation:
        assert simulation.run_until_complete(simulation.add_node("a").start(main)) == "went on"


def _raise(error):
    raise error


@pytest.mark.parametrize("place", ["task", "callback", "reader"])
@pytest.mark.parametrize("code", [0, 3])
def test_sys_exit_ends_the_process_of_its_node_in_order_and_nothing_else(place, code):
    tidied = []

    async def leave():
        sys.exit(code)

    class Leaves(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr):
            sys.exit(code)

    async def main():
        loop = asyncio.get_running_loop()
        try:
            await asyncio.sleep(1)
            if place == "task":
                kept = asyncio.create_task(leave())
            elif place == "callback":
                kept = loop.call_soon(sys.exit, code)
            else:
                kept, _ = await loop.create_datagram_endpoint(Leaves, ("127.0.0.1", PORT))
                kept.sendto(b"x", ("127.0.0.1", PORT))
            await asyncio.sleep(1000)
            del kept
        finally:
            tidied.append(loop.time())

    async def other():
        await asyncio.sleep(50)
        return "went on"

    simulation = Simulation(1)
    node = simulation.add_node("a")
    node.start(main)
    assert simulation.run_until_complete(simulation.add_node("b").start(other)) == "went on"
    assert not node.running
    assert tidied == [pytest.approx(1, abs=0.01)]
    status = [event.fields["status"] for event in simulation.trace if event.name == "node_exited"]
    assert status == ["error" if code else "ok"]
    simulation.close()


def test_sys_exit_in_the_twin_of_asyncio_run_reaches_its_caller():
    async def main():
        asyncio.get_running_loop().call_later(1, sys.exit, 5)
        await asyncio.sleep(1000)

    with pytest.raises(SystemExit) as left:
        sim.run(main())
    assert left.value.code == 5


def test_an_interrupt_goes_through():
    def interrupt():
        raise KeyboardInterrupt

    async def main():
        asyncio.get_running_loop().call_later(1, interrupt)
        await asyncio.sleep(2)
        return "went on"

    with Simulation(1) as simulation:
        task = simulation.add_node("a").start(main)
        with pytest.raises(KeyboardInterrupt):
            simulation.run(until=5)
        assert simulation.run_until_complete(task) == "went on"
