"""`select`, `poll`, `epoll` and `selectors` of sockets: what is ready in which state, and what they refuse."""

import asyncio
import contextlib
import os
import select
import selectors
import socket
import socketserver
import threading
import time

import pytest

import sim
from tests.sim.twins.by_hand import client, listener, log_calls
from tests.sim.twins.test_descriptor_calls import connected
from tests.sim.twins.twin import A_MOMENT, Log, moment, twin

ALL = select.POLLIN | select.POLLOUT | select.POLLRDHUP


@twin
async def test_select(log: Log):
    async with connected() as (one, other):

        def ready(*files, timeout=0):
            return tuple(map(len, select.select(*files, timeout)))

        log("quiet", ready([one, other], [one], [one, other]))
        one.send(b"x")
        await moment()
        log("sent", ready([one, other], [other.fileno()], []), ready([other], [], [], timeout=5))
        log("itself", select.select([other], [], [], 0)[0][0] is other, select.select([other], [], [])[1:])
        other.close()
        await moment()
        log("reset", ready([one], [one], [one]))
        log_calls(
            log, "refused", negative=lambda: select.select([one], [], [], -1), closed=lambda: ready([other], [], [])
        )
        log_calls(log, "refused", text=lambda: ready(["x"], [], []), nothing=lambda: ready([], [], []))


@twin
async def test_poll_in_every_state(log: Log):
    def look(when, *sockets):
        polled = select.poll()
        for each in sockets:
            polled.register(each, ALL)
        log(when, [events for _, events in polled.poll(0)])

    with client() as new, listener() as listening, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        look("new", new, datagrams)
        new.bind(("127.0.0.1", 0))
        look("bound", new)
        look("listens", listening)
        with contextlib.suppress(BlockingIOError):
            new.close()
            with client() as one:
                one.connect(listening.getsockname())
        await moment()
        look("waiting", listening)
    async with connected() as (one, other):
        look("connected", one, other)
        one.send(b"x")
        await moment()
        look("sent", one, other)
        one.shutdown(socket.SHUT_WR)
        await moment()
        look("half closed", one, other)
        other.recv(10)
        look("read", one, other)
        other.shutdown(socket.SHUT_WR)
        await moment()
        look("both ways", one, other)
    async with connected() as (one, other):
        other.send(b"unread")
        one.send(b"unread")
        await moment()
        other.close()
        await moment()
        look("reset", one)
        one.recv(10)
        look("reset and read", one)
    async with connected() as (one, other):
        one.shutdown(socket.SHUT_RD)
        look("reads no more", one, other)


@twin
async def test_poll_registers_by_object_and_number(log: Log):
    async with connected() as (one, other):
        polled = select.poll()
        polled.register(one)
        polled.register(other.fileno(), select.POLLIN)
        log("quiet", [events for _, events in polled.poll(0)])
        one.send(b"x")
        await moment()
        log("sent", polled.poll(100) == [(one.fileno(), select.POLLOUT), (other.fileno(), select.POLLIN)])
        polled.modify(one, select.POLLIN)
        polled.unregister(other)
        log("changed", polled.poll(0))
        log_calls(log, "gone", unregister=lambda: polled.unregister(other), modify=lambda: polled.modify(other, 1))
        one.close()
        log("closed", [events for _, events in polled.poll(0)])


@twin
async def test_epoll(log: Log):
    async with connected() as (one, other):
        with select.epoll() as polled:
            polled.register(one, select.EPOLLIN | select.EPOLLOUT)
            polled.register(other.fileno(), select.EPOLLIN)
            log("quiet", [events for _, events in polled.poll(0)], polled.closed, polled.fileno() > 0)
            log_calls(log, "refused", twice=lambda: polled.register(one))
            one.send(b"x")
            await moment()
            log("sent", sorted(events for _, events in polled.poll(0)), len(polled.poll(1, 1)))
            polled.modify(one, select.EPOLLIN)
            log("changed", [events for _, events in polled.poll(0)])
            polled.unregister(other)
            log_calls(log, "gone", unregister=lambda: polled.unregister(other), modify=lambda: polled.modify(other, 1))
            one.close()
            log("closed", polled.poll(0))
        log_calls(log, "closed", poll=lambda: polled.poll(0), register=lambda: polled.register(other))


@twin
async def test_selectors_of_each_kind(log: Log):
    for kind in (selectors.DefaultSelector, selectors.SelectSelector, selectors.PollSelector, selectors.EpollSelector):
        async with connected() as (one, other):
            with kind() as selector:
                selector.register(one, selectors.EVENT_READ | selectors.EVENT_WRITE, "one")
                selector.register(other, selectors.EVENT_READ, "other")
                _log_ready(log, selector)
                one.send(b"x")
                await moment()
                _log_ready(log, selector, 5)
                selector.modify(one, selectors.EVENT_READ, "reads")
                _log_ready(log, selector, -1)
                selector.unregister(one)
                log("selector", len(selector.get_map()), selector.get_key(other).data)
                other.recv(5)
                _log_ready(log, selector)


def _log_ready(log, selector, timeout=0):
    log("selector", sorted((key.data, events) for key, events in selector.select(timeout)))


@twin
async def test_datagram_sockets_are_polled(log: Log):
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
        for each in (one, other):
            each.setblocking(False)
            each.bind(("127.0.0.1", 0))
        polled = select.poll()
        polled.register(one, ALL)
        log("quiet", [events for _, events in polled.poll(0)])
        other.sendto(b"x", one.getsockname())
        await moment()
        log(
            "sent", [events for _, events in polled.poll(0)], [len(each) for each in select.select([one], [one], [], 0)]
        )
        one.recv(10)
        one.connect(other.getsockname())
        other.close()
        one.send(b"to nobody")
        await moment()
        log(
            "refused", [events for _, events in polled.poll(0)], [len(each) for each in select.select([one], [], [], 0)]
        )
        log_calls(log, "refused", read=lambda: one.recv(10))
        log("told", [events for _, events in polled.poll(0)])


@twin
async def test_polls_of_nothing_let_time_pass(log: Log):
    def passes(poll, *timeout):
        began = time.monotonic()
        log("poll", poll(*timeout), time.monotonic() - began >= A_MOMENT * 0.9)

    passes(select.poll().poll, A_MOMENT * 1000)
    passes(select.select, [], [], [], A_MOMENT)
    with select.epoll() as polled:
        passes(polled.poll, A_MOMENT)


@twin
async def test_threads_wait_for_sockets(log: Log):
    one, other = socket.socketpair()

    def wait():
        log("select", len(select.select([other], [], [], 5)[0]), other.recv(1))
        polled = select.poll()
        polled.register(other, select.POLLIN)
        log("poll", polled.poll(A_MOMENT * 1000), len(polled.poll(5000)), other.recv(1))
        with selectors.DefaultSelector() as selector:
            selector.register(one, selectors.EVENT_READ)
            selector.register(other, selectors.EVENT_READ)
            log("selector", [key.fileobj is other for key, _ in selector.select()], other.recv(1))
            log("selector", len(selector.select()), other.recv(1))

    waits = asyncio.ensure_future(asyncio.to_thread(wait))
    for _ in range(3):
        await asyncio.sleep(A_MOMENT * 3)
        one.send(b"x")
    await asyncio.sleep(A_MOMENT * 3)
    one.close()
    await log.attempt("main", "waits", waits)
    other.close()


@twin
async def test_a_server_of_socketserver_in_a_thread(log: Log):
    class Upper(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                self.wfile.write(line.upper())

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Upper) as server:
        thread = threading.Thread(target=server.serve_forever, args=(A_MOMENT,))
        thread.start()
        reader, writer = await asyncio.open_connection(*server.server_address[:2])
        for line in (b"one\n", b"two\n"):
            writer.write(line)
            log("client", await reader.readline())
        writer.write_eof()
        log("client", await reader.read())
        writer.close()
        await asyncio.to_thread(server.shutdown)
        thread.join()
        log("server", thread.is_alive())


@contextlib.contextmanager
def a_pipe():
    """The end of a pipe that is read; nothing comes."""
    reads, writes = os.pipe()
    try:
        yield reads
    finally:
        os.close(reads)
        os.close(writes)


def test_who_would_wait_for_a_pipe_and_a_socket_is_refused():
    async def main():
        one, other = socket.socketpair()
        with one, other, a_pipe() as reads:
            for waits in (select.select, lambda *lists: poll(lists[0])):
                with pytest.raises(sim.NotSimulated, match="descriptors of the real machine"):
                    await asyncio.to_thread(waits, [one, reads], [], [])
            with pytest.raises(sim.NotSimulated, match="in a thread"):
                select.select([one], [], [])

    def poll(files):
        polled = select.poll()
        for each in files:
            polled.register(each, select.POLLIN)
        return polled.poll()

    sim.run(main())
