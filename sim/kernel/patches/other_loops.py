"""What a program may do in a process of its own and not on a simulated node: run another event loop.

asyncio's own answer, that a loop runs already, does not say what to do instead. Elsewhere they are the real ones.
Knows of a node its name. Tests: tests/sim/kernel/test_bad_input.py.
"""

import asyncio
import functools
from collections.abc import Callable
from typing import Any, NoReturn

from sim.kernel.errors import SimulationError
from sim.kernel.patches import rebind
from sim.kernel.real_threads import of_this_thread
from sim.kernel.running import on_a_node, running

__all__ = ["install"]


def install() -> None:
    """sim.kernel.patches calls it."""
    rebind.replace(asyncio, "run", _refused(asyncio.run, "asyncio.run()"))
    rebind.put(asyncio.Runner, "run", _refused(asyncio.Runner.run, "asyncio.Runner.run()"))
    made: Any = asyncio.SelectorEventLoop
    rebind.put(made, "__init__", _not_made(made.__init__))
    loop: Any = asyncio.BaseEventLoop
    said = "run_until_complete() or run_forever() of another loop"
    rebind.put(loop, "run_forever", _refused(loop.run_forever, said))


def _refused(real: Callable[..., Any], said: str) -> Callable[..., Any]:
    def refuse(node: Any, *_: Any, **__: Any) -> NoReturn:
        raise SimulationError(
            f"{said} cannot be called from a running event loop, and {node.name} is a simulated node, whose loop runs, "
            f"in its threads too{of_this_thread()}: await the coroutine, hand it to that loop "
            "(asyncio.run_coroutine_threadsafe), or make it a node of its own: simulation.add_node(…).start(main)"
        )

    return functools.wraps(real)(on_a_node(real, refuse))


def _not_made(real: Callable[..., Any]) -> Callable[..., Any]:
    """A loop that cannot be made on a node has nothing to close: asyncio looks at that when it is let go."""
    refused = _refused(real, "asyncio.new_event_loop()")

    @functools.wraps(real)
    def init(self: Any, *args: Any, **options: Any) -> None:
        if running() is not None:
            self._closed = True
        refused(self, *args, **options)

    return init
