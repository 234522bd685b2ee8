"""`select`, `poll`, `epoll` and `selectors` of sockets: what is ready in which state, and what they refuse."""

import contextlib
import select
import selectors
import socket

from tests.sim.twins.by_hand import client, listener, log_calls
from tests.sim.twins.test_descriptor_calls import connected
from tests.sim.twins.twin import Log, moment, twin

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
