import fcntl
import os
import socket

import pytest

import sim


def on_a_node(function):
    async def main():
        one, other = socket.socketpair()
        with one, other:
            for each in (one, other):
                each.setblocking(False)
            return function(one)

    return sim.run(main())


@pytest.mark.parametrize(
    ("call", "instead"),
    [
        (lambda one: os.dup2(one.fileno(), 1), "use os.dup()"),
        (lambda one: os.dup2(1, one.fileno()), "use os.dup()"),
        (lambda one: fcntl.fcntl(one, fcntl.F_GETOWN), "knows its flags"),
        (lambda one: os.fdopen(one.fileno(), "wb"), "use socket.makefile()"),
        (lambda one: fcntl.ioctl(one, 0x541B, b"1234"), "recv(…, MSG_PEEK) tells"),
    ],
)
def test_what_is_refused_says_what_to_use(call, instead):
    with pytest.raises(sim.NotSimulated) as refused:
        on_a_node(call)
    assert instead in str(refused.value)


def test_real_descriptors_are_the_real_ones():
    def pipes(_):
        reads, writes = os.pipe()
        os.set_blocking(reads, False)
        os.write(writes, b"hello")
        found = os.read(reads, 10), os.get_blocking(reads), os.get_blocking(writes), os.fstat(reads).st_size
        os.close(reads)
        os.close(writes)
        return found

    assert on_a_node(pipes) == (b"hello", False, True, 0)
