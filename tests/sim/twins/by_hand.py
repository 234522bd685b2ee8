"""Sockets that a program makes itself, for `loop.sock_*` and for calls of their own."""

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


def log_calls(log, who, **calls):
    for name, call in calls.items():
        try:
            log(who, name, call())
        except Exception as error:
            log(who, name, error)
