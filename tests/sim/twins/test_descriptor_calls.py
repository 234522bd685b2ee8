"""Descriptors of sockets given as numbers to `os`, `fcntl` and `socket`: reading, writing, flags, and closed ones."""

import asyncio
import fcntl
import os
import socket
import stat
import tempfile

from tests.sim.twins.by_hand import client, connected, log_calls
from tests.sim.twins.twin import Log, moment, twin


@twin
async def test_a_descriptor_is_read_and_written(log: Log):
    async with connected() as (one, other):
        writes, reads = one.fileno(), other.fileno()
        log("write", os.write(writes, b"hello"), os.write(writes, bytearray(b", ")), os.writev(writes, [b"wor", b"ld"]))
        await moment()
        buffers = bytearray(3), bytearray(10)
        log("read", os.read(reads, 3), os.read(reads, 2), os.readv(reads, buffers), *buffers)
        log_calls(log, "read", none=lambda: os.read(reads, 1), negative=lambda: os.read(reads, -1))
        log_calls(log, "read", nothing=lambda: os.read(reads, 0), none=lambda: os.readv(reads, [bytearray(1)]))
        one.shutdown(socket.SHUT_WR)
        await moment()
        log_calls(log, "ended", read=lambda: os.read(reads, 1), write=lambda: os.write(writes, b"x"))


@twin
async def test_what_descriptors_tell_of_sockets(log: Log):
    async with connected() as (one, _):
        number = one.fileno()
        for found in (os.fstat(number), os.stat(number)):
            log("stat", stat.S_ISSOCK(found.st_mode), oct(stat.S_IMODE(found.st_mode)), found.st_size, found.st_nlink)
        log("tty", os.isatty(number))
        log_calls(log, "no file", seek=lambda: os.lseek(number, 0, os.SEEK_SET), sync=lambda: os.fsync(number))
        log_calls(log, "no file", cut=lambda: os.ftruncate(number, 0), at=lambda: os.pread(number, 1, 0))
        log_calls(log, "no file", to=lambda: os.pwrite(number, b"x", 0), source=lambda: os.sendfile(1, number, 0, 1))


@twin
async def test_flags_of_descriptors(log: Log):
    async with connected() as (one, _):
        number = one.fileno()

        def look(when):
            log(when, os.get_blocking(number), bool(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_NONBLOCK))
            log(when, one.gettimeout(), os.get_inheritable(number), one.get_inheritable())
            log(when, fcntl.fcntl(one, fcntl.F_GETFD))

        look("connected")
        os.set_blocking(number, True)
        os.set_inheritable(number, True)
        look("set")
        fcntl.fcntl(number, fcntl.F_SETFL, os.O_NONBLOCK)
        fcntl.fcntl(number, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        look("set back")
        one.settimeout(3)
        look("timeout")
        doubled = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 0)
        log("doubled", doubled != number, os.get_blocking(doubled), os.get_inheritable(doubled))
        os.close(doubled)
        one.set_inheritable(True)
        with one.dup() as more:
            log("dup", more.get_inheritable(), one.get_inheritable())


@twin
async def test_descriptors_wait_by_their_own_flag(log: Log):
    async with connected() as (one, other):
        number = other.fileno()
        other.settimeout(3)
        log_calls(log, "time-out", read=lambda: os.read(number, 1), blocks=lambda: os.get_blocking(number))
        os.set_blocking(number, True)
        other_reads = asyncio.ensure_future(asyncio.to_thread(os.read, number, 1))
        await moment()
        one.send(b"x")
        log("blocks", await other_reads, other.gettimeout())


@twin
async def test_descriptors_by_keyword(log: Log):
    async with connected() as (one, _):
        number = one.fileno()
        log_calls(
            log, "kept", stat=lambda: stat.S_ISSOCK(os.fstat(fd=number).st_mode), sync=lambda: os.fsync(fd=number)
        )
        log_calls(log, "closed", close=lambda: os.close(fd=number), again=lambda: os.close(fd=number))
        one.detach()


@twin
async def test_what_a_closed_descriptor_refuses(log: Log):
    with client() as sock:
        number = sock.fileno()
    log_calls(log, "os", read=lambda: os.read(number, 1), write=lambda: os.write(number, b"x"))
    log_calls(log, "os", stat=lambda: os.fstat(number), close=lambda: os.close(number), dup=lambda: os.dup(number))
    log_calls(log, "os", blocking=lambda: os.get_blocking(number), flags=lambda: fcntl.fcntl(number, fcntl.F_GETFL))
    log_calls(log, "socket", again=lambda: socket.socket(fileno=number), close=lambda: socket.close(number))
    log_calls(log, "socket", fromfd=lambda: socket.fromfd(number, socket.AF_INET, socket.SOCK_STREAM))
    log_calls(log, "socket", negative=lambda: socket.socket(fileno=-1), text=lambda: socket.socket(fileno="1"))
    with client() as sock:
        number = sock.detach()
        os.close(number)
        log_calls(log, "detached", again=lambda: socket.socket(fileno=number))


@twin
async def test_a_file_is_sent_to_a_descriptor(log: Log):
    async with connected() as (one, other):
        with tempfile.TemporaryFile() as file:
            file.write(b"hello, world")
            file.flush()
            file.seek(7)
            number, source = one.fileno(), file.fileno()
            log("sent", os.sendfile(number, source, 0, 5), os.sendfile(number, source, 5, 2), file.tell())
            log("sent", os.sendfile(number, source, None, 100), os.sendfile(number, source, None, 100))
            log("file", os.lseek(source, 0, os.SEEK_CUR))
        await moment()
        log("other", other.recv(100))
        log_calls(log, "socket", sendfile=lambda: one.sendfile(None))
