"""What a program may do in a process of its own and not on a simulated node: run another event loop.

asyncio's own answer, that a loop runs already, does not say what to do instead. Elsewhere they are the real ones.
"""

import asyncio
import functools
from collections.abc import Callable
from typing import Any

from sim.kernel.errors import SimulationError
from sim.kernel.patches import rebind
from sim.kernel.patches.clock_and_random import running

__all__ = ["install"]

_installed = False


def install() -> None:
    """Once a process. `rebind.rebind` has to follow."""
    global _installed
    if _installed:
        return
    _installed = True
    rebind.replace(asyncio, "run", _refused_on_a_node(asyncio.run, "asyncio.run()"))
    asyncio.Runner.run = _refused_on_a_node(asyncio.Runner.run, "asyncio.Runner.run()")  # type: ignore[method-assign]
    made: Any = asyncio.SelectorEventLoop
    made.__new__ = _refused_on_a_node(lambda kind, *_, **__: object.__new__(kind), "asyncio.new_event_loop()")
    loop: Any = asyncio.BaseEventLoop
    loop.run_forever = _refused_on_a_node(loop.run_forever, "run_until_complete() or run_forever() of another loop")


def _refused_on_a_node(real: Callable[..., Any], said: str) -> Callable[..., Any]:
    @functools.wraps(real)
    def function(*args: Any, **options: Any) -> Any:
        node: Any = running()
        if node is None:
            return real(*args, **options)
        raise SimulationError(
            f"{said} cannot be called from a running event loop, and {node.name} is a simulated node, whose loop runs, "
            "in functions of its executor too: await the coroutine, or make it a node of its own: "
            "simulation.add_node(…).start(main)"
        )

    return function
