"""asyncio.run beside a running loop: what it returns and raises, and that Ctrl-C waits for its end."""

import asyncio
import signal
import threading

import pytest

from sim.backends.asyncio_run import asyncio_run


async def answers():
    await asyncio.sleep(0)
    return "done"


async def breaks():
    raise ValueError("broken")


async def beside_a_loop(main):
    return asyncio_run(main)


def test_it_returns_and_raises_what_its_coroutine_does():
    assert asyncio_run(answers) == asyncio.run(beside_a_loop(answers)) == "done"
    with pytest.raises(ValueError, match="broken"):
        asyncio.run(beside_a_loop(breaks))


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_beside_a_loop_waits_until_all_is_cleaned_up(monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda _: None)  # asyncio.Runner then leaves Ctrl-C to Python
    cleaned = []

    async def main():
        await asyncio.sleep(0.2)
        try:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.2)
            cleaned.append(threading.current_thread() is not threading.main_thread())

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(beside_a_loop(main))
    assert cleaned == [True]


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_its_thread_starts_ends_it(monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda _: None)
    start = threading.Thread.start

    def interrupted_start(thread):
        start(thread)
        raise KeyboardInterrupt

    async def main():
        await asyncio.sleep(60)

    monkeypatch.setattr(threading.Thread, "start", interrupted_start)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(beside_a_loop(main))
    assert not [thread for thread in threading.enumerate() if thread.name == "sockets backend"]
