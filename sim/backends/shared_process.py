"""What simulated nodes share, as they run in one process: environment variables, and logging.

Knows no world and no fault. Tests: tests/sim/backends/test_simulated.py.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rpcnet import observe
from sim.backends.program import NodeProgram, ProgramError
from sim.backends.text import LogEvents
from sim.kernel.running import running

__all__ = ["environment_of", "logged"]


@contextmanager
def environment_of(nodes: Sequence[NodeProgram]) -> Iterator[None]:
    """Within, the process has the variables that its nodes ask for. Raises ProgramError where two of them differ."""
    wanted: dict[str, str] = {}
    for node in nodes:
        for name, value in node.environment.items():
            if wanted.setdefault(name, value) != value:
                raise ProgramError(
                    f"{node.name}: env {name}={value!r} differs from another node's {wanted[name]!r}, and simulated "
                    "nodes share one process; pass it as an argument, or use the sockets backend"
                )
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, old in before.items():
            if old is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = old


@contextmanager
def logged() -> Iterator[None]:
    """Log records of nodes are events of theirs."""
    handler = LogEvents(_observer_here)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


def _observer_here() -> observe.Observer | None:
    """Of the node that runs; in its threads too, where no loop does."""
    node: Any = running()
    return None if node is None else observe.current(node.loop)
