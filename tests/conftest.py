"""Fixtures that every test may use: the two worlds, and Ctrl-C as a terminal has it."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

# A shared machine is slow at times: no deadline an example, and no verdict on how long drawing takes. The fuzz profile
# is for `make test-slow`.
SLOW = [HealthCheck.too_slow]
settings.register_profile("ordinary", settings(deadline=None, suppress_health_check=SLOW))
settings.register_profile("fuzz", settings(deadline=None, suppress_health_check=SLOW, max_examples=3000))
# For tests.mutation: the same examples each time, and the first failure suffices.
settings.register_profile(
    "mutation",
    settings(
        deadline=None,
        suppress_health_check=SLOW,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
    ),
)
settings.load_profile("ordinary")


class Sockets:
    """Runs a coroutine over the real sockets of this machine."""

    name = "sockets"

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run(main)


class Simulated:
    """Runs a coroutine on one node of a simulation, in virtual time."""

    name = "sim"

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        import sim

        return sim.run(main, seed=1)


@pytest.fixture(params=["sim", "sockets"])
def world(request: pytest.FixtureRequest) -> Sockets | Simulated:
    """One body, two worlds: `world.run(coroutine)` returns its value."""
    return Simulated() if request.param == "sim" else Sockets()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT as a terminal gives it, here and in the processes that the test starts.

    A shell starts a background job with SIGINT ignored; Python and our commands keep it so, and children inherit it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
