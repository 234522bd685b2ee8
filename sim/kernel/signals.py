"""Signals that a program sends itself or asks for by the module `signal`: they stay on its simulated machine.

A node's process number is nobody's in the real world, or a stranger's. On a node `os.kill`, `signal.raise_signal`,
`signal.signal` and `signal.getsignal` answer from the simulation; what would send the real process a signal, or wait
for one of its, is refused. Elsewhere they are the real ones.
"""

import errno
import os
import signal
from collections.abc import Callable
from operator import index
from typing import Any

from sim.kernel import captured
from sim.kernel.entropy import running
from sim.kernel.errors import NotSimulated
from sim.kernel.handles import Handle

__all__ = ["UNCATCHABLE", "check", "install"]

UNCATCHABLE = frozenset({signal.SIGKILL, signal.SIGSTOP})
_IGNORED = frozenset({signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT})
"""Signals that do nothing where nobody handles them."""

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

_installed = False


def check(sig: Any) -> signal.Signals:
    """The signal of that number. Raises TypeError and ValueError as asyncio does."""
    if not isinstance(sig, int):
        raise TypeError(f"sig must be an int, not {sig!r}")
    if sig not in signal.valid_signals():
        raise ValueError(f"invalid signal number {sig}")
    return signal.Signals(sig)


def install() -> None:
    """Once a process. `captured.rebind` has to follow."""
    global _installed
    if _installed:
        return
    _installed = True
    captured.replace(os, "kill", _on_a_node(os.kill, _kill))
    for name, simulated in (("raise_signal", _raise), ("signal", _signal), ("getsignal", _getsignal)):
        captured.replace(signal, name, _on_a_node(getattr(signal, name), simulated))
    captured.replace(os, "killpg", _on_a_node(os.killpg, _refusing("os.killpg", _OTHERS)))
    for name, instead in _REFUSED.items():
        if hasattr(signal, name):
            captured.replace(signal, name, _on_a_node(getattr(signal, name), _refusing(f"signal.{name}", instead)))


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
    handle = node.loop.handler_of(sig)
    if handle is None:
        _by_default(node, sig)
    elif _is_own(handle, sig):
        handle._callback(*handle._args)  # Python calls it before the next instruction
    else:
        node.loop.deliver(sig)


def _by_default(node: Any, sig: int) -> None:
    """What a process does that handles it nowhere. From outside of the node: it cannot end itself while it runs."""
    if sig == signal.SIGSTOP:
        raise NotSimulated("a node cannot stop itself; stop it from outside: node.pause(seconds)")
    if sig in (signal.SIGTERM, signal.SIGINT) and node._mains:
        node.stop()
    elif sig not in _IGNORED:
        node.simulation.schedule.after(0.0, lambda _: node.kill(), None)


def _signal(node: Any, sig: int, handler: Any) -> Any:
    if index(sig) not in signal.valid_signals():
        raise ValueError("signal number out of range")
    if sig in UNCATCHABLE:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    before = _getsignal(node, sig)
    if handler == signal.SIG_DFL:
        node.loop.handle_signal(sig, None)
    elif handler == signal.SIG_IGN or callable(handler):
        callback = _ignore if handler == signal.SIG_IGN else handler
        node.loop.handle_signal(sig, Handle(callback, (sig, None), node.loop, None))
    else:
        raise TypeError("signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object")
    return before


def _getsignal(node: Any, sig: int) -> Any:
    if index(sig) not in signal.valid_signals():
        raise ValueError("signal number out of range")
    handle = node.loop.handler_of(sig)
    if handle is None:
        return signal.default_int_handler if sig == signal.SIGINT else signal.SIG_DFL
    return signal.SIG_IGN if handle._callback is _ignore else handle._callback


def _is_own(handle: Any, sig: int) -> bool:
    """Whether it was set by signal.signal, not by loop.add_signal_handler."""
    return bool(handle._args == (sig, None))


def _ignore(*_: Any) -> None:
    """Takes the place of SIG_IGN."""
