import asyncio
import os
import select
import selectors
import socket
import time

import pytest

import sim


def on_a_node(function, *args):
    async def main():
        return function(*args)

    return sim.run(main())


def selects(one):
    select.select([one], [], [], 5)


def polls(one):
    polled = select.poll()
    polled.register(one, select.POLLIN)
    polled.poll()


def polls_by_epoll(one):
    with select.epoll() as polled:
        polled.register(one, select.EPOLLIN)
        polled.poll(-1)


def asks_a_selector(one):
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ)
        selector.select()


@pytest.mark.parametrize("wait", [selects, polls, polls_by_epoll, asks_a_selector])
def test_what_would_wait_is_refused(wait):
    def main():
        one, other = socket.socketpair()
        with one, other:
            wait(one)

    with pytest.raises(sim.NotSimulated, match="timeout of 0, use loop"):
        on_a_node(main)


def test_select_of_nothing_sleeps():
    async def main():
        began = asyncio.get_running_loop().time()
        select.select([], [], [], 3.0)
        return asyncio.get_running_loop().time() - began

    began = time.monotonic()
    assert sim.run(main()) == 3.0
    assert time.monotonic() - began < 3.0


def test_real_descriptors_are_asked_beside():
    def main():
        reads, writes = os.pipe()
        one, other = socket.socketpair()
        with one, other, select.epoll() as waits, selectors.DefaultSelector() as selector:
            polled = select.poll()
            for asked in (polled, waits):
                asked.register(reads, select.POLLIN)
                asked.register(one, select.POLLIN)
            selector.register(reads, selectors.EVENT_READ)
            os.write(writes, b"x")
            found = [asked.poll(0) == [(reads, select.POLLIN)] for asked in (polled, waits)]
            found += [select.select([one, reads], [], [], 5)[0] == [reads], len(selector.select(5)) == 1]
            for asked in (polled, waits):
                asked.modify(reads, select.POLLIN)
                asked.unregister(reads)
        os.close(reads)
        os.close(writes)
        return found

    assert on_a_node(main) == [True] * 4


def test_edges_are_refused():
    def main():
        one, other = socket.socketpair()
        with one, other, select.epoll() as polled:
            polled.register(one, select.EPOLLIN | select.EPOLLET)

    with pytest.raises(sim.NotSimulated, match="level-triggered; leave out EPOLLET"):
        on_a_node(main)


def test_elsewhere_they_are_the_real_ones():
    sim.run(asyncio.sleep(0))
    assert type(select.poll()).__module__ == "select"
    with select.epoll() as polled, select.epoll.fromfd(os.dup(polled.fileno())) as again:
        assert type(polled).__module__ == type(again).__module__ == "select"
    with socket.socket() as real:
        assert select.select([], [real], [], 0)[1] == [real]
