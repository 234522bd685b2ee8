"""What a signal does that a node's program sends itself, where nobody handles it."""

import asyncio
import os
import signal
import threading

import pytest

from sim import NotSimulated, Simulation, new_event_loop


async def sends_itself(number, ended):
    os.kill(os.getpid(), number)
    try:
        await asyncio.sleep(1)
        ended.append("by itself")
    except asyncio.CancelledError:
        ended.append("cancelled")
        raise


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_that_asks_to_end_cancels_the_main(number):
    ended = []
    with Simulation() as simulation:
        simulation.add_node("a").start(sends_itself, number, ended)
        simulation.run(until=2)
        assert ended == ["cancelled"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGUSR1])
def test_one_that_ends_a_process_kills_the_node_and_nobody_else(number):
    ended = []
    with Simulation() as simulation:
        killed, other = simulation.add_node("a"), simulation.add_node("b")
        killed.start(sends_itself, number, ended)
        other.start(sends_itself, 0, ended)
        simulation.run(until=2)
        assert (killed.running, other.running) == (False, True)
        assert ended == ["by itself"]


def test_sigint_cancels_the_main_whatever_it_does_at_sigterm():
    ended, heard = [], []

    async def main():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, heard.append, "SIGTERM")
        await sends_itself(signal.SIGINT, ended)

    with Simulation() as simulation:
        simulation.add_node("a").start(main)
        simulation.run(until=2)
    assert (ended, heard) == (["cancelled"], [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_pythons_own_handler_of_sigint_interrupts_the_node_and_not_who_runs_it(number):
    ended = []

    async def main():
        default = signal.getsignal(signal.SIGINT)
        signal.signal(number, lambda *_: None)
        signal.signal(number, default)
        assert signal.getsignal(number) is default is signal.default_int_handler
        await sends_itself(number, ended)

    with Simulation() as simulation:
        simulation.add_node("a").start(main)
        simulation.run(until=2)
    assert ended == ["cancelled"]


def test_a_node_that_kills_itself_does_nothing_more_and_may_be_restarted_at_once():
    steps = []

    async def main():
        steps.append("began")
        if steps == ["began"]:
            await asyncio.sleep(1)
            os.kill(os.getpid(), signal.SIGKILL)
            await asyncio.sleep(0)
            steps.append("went on")
        await asyncio.sleep(1)
        steps.append("ended")

    with Simulation() as simulation:
        node = simulation.add_node("a")
        node.start(main)
        simulation.run(until=0.5)
        simulation.schedule.at(1.0, lambda _: node.restart(), None)
        simulation.run(until=3)
        told = [event.fields["error"] for event in simulation.trace if event.name == "node_failed"]
    assert steps == ["began", "began", "ended"]
    assert told == ["the process ended by SIGKILL"]


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("loop_factory", [None, new_event_loop])
def test_sigint_in_a_runner_cancels_its_main_and_is_raised(loop_factory):
    ended = []
    with asyncio.Runner(loop_factory=loop_factory) as runner, pytest.raises(KeyboardInterrupt):
        runner.run(sends_itself(signal.SIGINT, ended))
    assert ended == ["cancelled"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_what_would_end_the_process_of_a_runner_ends_its_run_with_that_status(number):
    ended = []
    with asyncio.Runner(loop_factory=new_event_loop) as runner, pytest.raises(SystemExit) as told:
        runner.run(sends_itself(number, ended))
    assert told.value.code == 128 + number
    assert ended == ["cancelled"]


def test_arguments_may_be_named_on_a_node_and_elsewhere():
    def handle_and_put_back():
        before = signal.signal(signalnum=signal.SIGUSR1, handler=signal.SIG_IGN)
        assert signal.getsignal(signalnum=signal.SIGUSR1) == signal.SIG_IGN
        signal.signal(signalnum=signal.SIGUSR1, handler=before)

    async def main():
        handle_and_put_back()

    with Simulation() as simulation:
        simulation.run_until_complete(simulation.add_node("a").start(main))
        handle_and_put_back()


def test_stop_runs_a_handler_that_was_set_with_the_module_signal():
    heard = []

    async def main():
        signal.signal(signal.SIGTERM, lambda *arguments: heard.append(arguments))
        await asyncio.sleep(1)
        return "ended by itself"

    before = signal.getsignal(signal.SIGTERM)
    with Simulation() as simulation:
        node = simulation.add_node("a")
        task = node.start(main)
        simulation.run(until=0.5)
        node.stop()
        assert simulation.run_until_complete(task) == "ended by itself"
    assert heard == [(signal.SIGTERM, None)]
    assert signal.getsignal(signal.SIGTERM) is before


def test_stopping_itself_for_a_while_is_refused():
    async def main():
        with pytest.raises(NotSimulated, match=r"node\.pause"):
            os.kill(os.getpid(), signal.SIGSTOP)

    with Simulation() as simulation:
        simulation.run_until_complete(simulation.add_node("a").start(main))


@pytest.mark.parametrize(
    ("module", "name", "arguments", "instead"),
    [
        (signal, "alarm", [1], r"signal\.alarm on a: .* loop\.call_later"),
        (signal, "setitimer", [signal.ITIMER_REAL, 0.01], r"loop\.call_later"),
        (os, "killpg", [os.getpgrp(), 0], r"os\.killpg on a: .* os\.kill\(os\.getpid\(\), …\), .* node\.stop"),
        (signal, "pthread_kill", [threading.get_ident(), 0], r"node\.stop"),
        (signal, "pause", [], r"add_signal_handler"),
        (signal, "sigwait", [[signal.SIGUSR1]], r"add_signal_handler"),
        (signal, "sigtimedwait", [[signal.SIGUSR1], 0], r"add_signal_handler"),
    ],
)
def test_what_would_signal_the_real_process_or_wait_for_it_is_refused(module, name, arguments, instead):
    async def main():
        function = getattr(module, name)
        assert hasattr(function, "__wrapped__")  # the real one would end the tests, or wait for ever
        with pytest.raises(NotSimulated, match=instead):
            function(*arguments)

    with Simulation() as simulation:
        simulation.run_until_complete(simulation.add_node("a").start(main))


def test_elsewhere_they_are_the_real_ones():
    Simulation().close()
    os.killpg(os.getpgrp(), 0)
    assert signal.sigtimedwait([signal.SIGUSR1], 0) is None
