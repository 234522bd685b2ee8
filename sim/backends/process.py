"""One process of the sockets backend as the runner sees it: started, spoken to, signalled, and certainly ended.

Knows no program and no fault: whoever owns it says what its messages and its end mean.

Tests: tests/sim/backends/test_sockets.py.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from sim.backends.control import Applied, Channel, Message, Start, Ways

__all__ = ["Process"]


class Process:
    """A child that runs one node; made and used on the runner's loop."""

    def __init__(
        self,
        order: Start,
        environment: Mapping[str, str],
        on_message: Callable[["Process", Message], None],
        on_end: Callable[["Process", int], None],
    ) -> None:
        """`on_end` is called once, with the return code, after the last message."""
        self.name = order.name
        self.trace = Path(order.trace)
        self.alive = True
        self.last_words = ""
        """The last line that it printed."""
        self.ended = asyncio.Event()
        self.applied = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._on_message, self._on_end = on_message, on_end
        self.applied.set()
        self._number = order.ways.number
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "sim.backends.child", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=write,
                stderr=write,
                pass_fds=[theirs.fileno()],
                # A session of its own: Ctrl-C at the terminal is the runner's to answer.
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | dict(environment),
            )
        finally:
            theirs.close()
            os.close(write)
        self._channel = Channel(ours)
        self._output = read
        self._partial = b""
        self._descriptor = os.pidfd_open(self._popen.pid)
        os.set_blocking(read, False)
        self._loop.add_reader(ours.fileno(), self._read)
        self._loop.add_reader(read, self._copy_output)
        self._loop.add_reader(self._descriptor, self._reap)
        self._say(order)

    def send(self, message: Message) -> None:
        """Say something; a process that is gone does not hear it."""
        if not self.alive:
            return
        if isinstance(message, Ways):
            self._number = message.number
            self.applied.clear()
        self._say(message)

    def _say(self, message: Message) -> None:
        self._channel.send(message)
        if self._channel.unsent:
            self._loop.add_writer(self._channel.socket.fileno(), self._say_the_rest)

    def _say_the_rest(self) -> None:
        self._channel.flush()
        if not self._channel.unsent:
            self._loop.remove_writer(self._channel.socket.fileno())

    def signal(self, number: signal.Signals) -> None:
        if self.alive:
            self._popen.send_signal(number)

    def destroy(self) -> None:
        """SIGKILL, and wait: afterwards the process is certainly gone. Works without a running loop."""
        if self._popen.returncode is None:
            self._end_session()
            self._popen.wait()
        self._close()

    def _end_session(self) -> None:
        """SIGKILL for the process and whatever it started. Called before it is waited for: its id is still its own."""
        try:
            os.killpg(self._popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # It has ended, and left nobody.

    def _read(self) -> None:
        for message in self._channel.receive():
            if isinstance(message, Applied):
                if message.number == self._number:
                    self.applied.set()
            else:
                self._on_message(self, message)
        if self._channel.closed:
            self._loop.remove_reader(self._channel.socket.fileno())

    def _copy_output(self) -> None:
        """What the process prints goes to our stderr, line by line, behind the node's name."""
        try:
            data = os.read(self._output, 65536)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._output)
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._show(line)

    def _show(self, line: bytes) -> None:
        text = line.decode(errors="backslashreplace")
        self.last_words = text.strip() or self.last_words
        print(f"{self.name} | {text}", file=sys.stderr)

    def _reap(self) -> None:
        self._end_session()
        code = self._popen.wait()
        self._read()
        self._copy_output()
        self._close()
        self._on_end(self, code)

    def _close(self) -> None:
        if not self.alive:
            return
        self.alive = False
        if self._partial:
            self._show(self._partial)
        if not self._loop.is_closed():
            self._loop.remove_writer(self._channel.socket.fileno())
            for descriptor in (self._channel.socket.fileno(), self._output, self._descriptor):
                self._loop.remove_reader(descriptor)
        self._channel.socket.close()
        os.close(self._output)
        os.close(self._descriptor)
        self.applied.set()
        self.ended.set()
