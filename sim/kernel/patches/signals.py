"""Signals that a program sends itself or asks for by the module `signal`: they stay on its simulated machine.

A node's process number is nobody's in the real world, or a stranger's. On a node `os.kill`, `signal.raise_signal`,
`signal.signal` and `signal.getsignal` answer from the simulation; what would send the real process a signal, or wait
for one of its, is refused. Elsewhere they are the real ones. Knows of a node its process number and its loop. Tests:
tests/sim/kernel/patches/test_signals.py.
"""

import errno
import os
import signal
from collections.abc import Callable
from operator import index
from typing import Any

from sim.kernel.errors import NotSimulated
from sim.kernel.loop.loop import UNCATCHABLE
from sim.kernel.patches import rebind
from sim.kernel.running import outside, running

__all__ = ["install"]

_IGNORED = frozenset({signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT})
"""Signals that do nothing where nobody handles them."""
_ASKING = frozenset({signal.SIGTERM, signal.SIGINT})
"""Signals that cancel the mains there."""

_TIMER = "a node's process has no timer that runs in real time; use loop.call_later or asyncio.timeout"
_OTHERS = "a node's process is alone on its machine, in one thread; use os.kill(os.getpid(), …), or node.stop()"
_WAIT = "waiting for a signal would stop all nodes; await an asyncio.Event that loop.add_signal_handler(…) sets"
_REFUSED = {
    "alarm": _TIMER,
    "setitimer": _TIMER,
    "pthread_kill": _OTHERS,
    "pause": _WAIT,
    "sigwait": _WAIT,
    "sigwaitinfo": _WAIT,
    "sigtimedwait": _WAIT,
}
"""Of the module: its default action, or its wait, would be the simulator's own."""


def install() -> None:
    """sim.kernel.patches calls it."""
    rebind.replace(os, "kill", _on_a_node(os.kill, _kill))
    for name, simulated in (("raise_signal", _raise), ("signal", _signal), ("getsignal", _getsignal)):
        rebind.replace(signal, name, _on_a_node(getattr(signal, name), simulated))
    rebind.replace(os, "killpg", _on_a_node(os.killpg, _refusing("os.killpg", _OTHERS)))
    for name, instead in _REFUSED.items():
        if hasattr(signal, name):
            rebind.replace(signal, name, _on_a_node(getattr(signal, name), _refusing(f"signal.{name}", instead)))


def _on_a_node(real: Callable[..., Any], simulated: Callable[..., Any]) -> Callable[..., Any]:
    def function(*args: Any, **options: Any) -> Any:
        node: Any = running()
        if node is None or not node.loop.is_running():  # else it is what stands beside the nodes: a fault, an interrupt
            return real(*args, **options)
        return simulated(node, *args, **options)

    return function


def _refusing(name: str, instead: str) -> Callable[..., Any]:
    def refuse(node: Any, *_: Any, **__: Any) -> Any:
        raise NotSimulated(f"{name} on {node.name}: {instead}")

    return refuse


def _kill(node: Any, pid: int, sig: int) -> None:
    if pid not in (0, node.process_id):  # no other process is on this machine; 0 is its own group
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    if sig != 0:
        _raise(node, sig)


def _raise(node: Any, sig: int) -> None:
    if index(sig) not in signal.valid_signals():
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    process, _ = node.loop.handlers_of(sig)
    if process is None:
        _by_default(node, sig)
    elif process != signal.SIG_IGN:
        process(sig, None)  # Python calls it before the next instruction
        node.loop.deliver(sig, called=True)


def _by_default(node: Any, sig: int) -> None:
    """What a process does that handles it nowhere."""
    if sig == signal.SIGSTOP:
        raise NotSimulated("a node cannot stop itself; stop it from outside: node.pause(seconds)")
    if sig in _IGNORED:
        return
    if node.loop._driven:
        _end_with_the_driver(node.loop, sig)
    elif sig in _ASKING and node.mains:
        node.cancel_mains()
    else:
        node.end_by(sig)


def _end_with_the_driver(loop: Any, sig: int) -> None:
    """asyncio.run or a Runner drives this loop: its process is the one that ends."""
    if sig == signal.SIGINT:
        with outside():
            signal.raise_signal(sig)  # the Runner's own handler cancels its main, or raises KeyboardInterrupt
    else:
        loop.call_soon(_exit, 128 + sig)  # as a shell tells of it


def _exit(status: int) -> None:
    raise SystemExit(status)


def _signal(node: Any, signalnum: int, handler: Any) -> Any:
    if index(signalnum) not in signal.valid_signals():
        raise ValueError("signal number out of range")
    if signalnum in UNCATCHABLE:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    before = _getsignal(node, signalnum)
    if handler == signal.SIG_DFL:
        node.loop.handle_signal(signalnum, None)
    elif handler == signal.SIG_IGN or callable(handler):
        node.loop.handle_signal(signalnum, _interrupt if handler == signal.default_int_handler else handler)
    else:
        raise TypeError("signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object")
    return before


def _getsignal(node: Any, signalnum: int) -> Any:
    if index(signalnum) not in signal.valid_signals():
        raise ValueError("signal number out of range")
    process, _ = node.loop.handlers_of(signalnum)
    if process is None:
        return signal.default_int_handler if signalnum == signal.SIGINT else signal.SIG_DFL
    return signal.default_int_handler if process is _interrupt else process


def _interrupt(*_: Any) -> None:
    """Takes the place of default_int_handler, whose KeyboardInterrupt would be that of who runs the simulation."""
    _by_default(running(), signal.SIGINT)
