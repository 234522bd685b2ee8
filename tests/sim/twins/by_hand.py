"""Sockets that a program makes itself, for `loop.sock_*` and for calls of their own."""

import asyncio
import contextlib
import socket


def listener(**options):
    sock = socket.socket()
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    sock.listen(**options)
    return sock


def client():
    sock = socket.socket()
    sock.setblocking(False)
    return sock


@contextlib.asynccontextmanager
async def connected():
    """Two sockets that are connected, made by hand."""
    with listener() as listening, client() as one:
        await asyncio.get_running_loop().sock_connect(one, listening.getsockname())
        other, _ = listening.accept()
        with other:
            other.setblocking(False)
            yield one, other


def log_calls(log, who, **calls):
    for name, call in calls.items():
        try:
            log(who, name, call())
        except Exception as error:
            log(who, name, error)
