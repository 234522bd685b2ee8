"""What a program or a notebook holds: a Scenario that loads, runs and sweeps itself. `sim.Scenario` is this one.

Knows whom to ask (sim.scenario, sim.study), and nothing of how it is done: studies are loaded when one is wanted.

Tests: tests/sim/test_api.py.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from msgspec.structs import asdict

from sim.kernel.interrupt import shortened
from sim.notebook import Run, clock, count
from sim.scenario import schema
from sim.scenario.load import load
from sim.scenario.run import SLACK, run

if TYPE_CHECKING:
    from sim.study import Study

__all__ = ["Scenario"]

_HERE = Path(__file__).parent
_RUNNERS = tuple(str(_HERE / name) for name in ("api.py", "backends", "scenario", "study"))


class Scenario(schema.Scenario, frozen=True, kw_only=True):
    """One scenario: nodes, what happens to them, what must hold."""

    @classmethod
    def load(cls, path: str | Path, overrides: Mapping[str, Any] | Iterable[str] = ()) -> Self:
        """Read and check a file. Raises ScenarioError with every mistake that was found.

        `overrides` change the document before it is checked: `{"node.worker.count": 50}` or `["node.worker.count=50"]`.
        """
        return cls(**asdict(load(path, overrides)))

    def run(
        self,
        seed: int | None = None,
        backend: str = "sim",
        trace: str | Path | None = None,
        defects: Sequence[str] = (),
        slack: float = SLACK,
        overrides: Mapping[str, Any] | Iterable[str] = (),
        wall_limit: float | None = None,
    ) -> Run:
        """Run it once and judge it. `trace` is where its trace goes; None = a temporary file that goes with the Run.

        `slack` widens `within` and `max` on sockets, where machines are noisy. `wall_limit` is how many real seconds
        a simulated run may take: one that takes longer fails, and says where it was. Raises ScenarioError,
        ProgramError.
        """
        __tracebackhide__ = True  # of pytest and IPython
        try:
            with clock(self.name, self.duration) as follow:
                found = run(
                    self,
                    seed=seed,
                    backend=backend,
                    trace=trace,
                    defects=defects,
                    slack=slack,
                    overrides=overrides,
                    wall_limit=wall_limit,
                    follow=follow,
                )
        except KeyboardInterrupt as error:
            raise _shortly(error) from None
        return Run.of(found)

    def sweep(
        self,
        *,
        seeds: Iterable[int] | str | None = None,
        matrix: Mapping[str, Sequence[Any]] | None = None,
        jobs: int | None = None,
        out: str | Path | None = None,
        defects: Sequence[str] = (),
        interleaving: str | None = None,
        wall_limit: float | None = None,
    ) -> "Study":
        """Run it with every seed and every combination of the matrix, on `jobs` processes (None = one a core).

        What is left out is as `[sweep]` says. `interleaving` is one of fifo, random, pct, pos, surw, mix. `out` is a
        file that keeps each result as it comes; the same call with the same file goes on where it was interrupted.
        `wall_limit` is for each run, as of `run`.
        Raises ScenarioError, study.Refused, study.SweepError.
        """
        from sim import study

        __tracebackhide__ = True
        try:
            wanted = study.plan(self, seeds=seeds, matrix=matrix, defects=defects, interleaving=interleaving)
            with count(self.name, len(wanted)) as advance:
                return study.carry_out(wanted, jobs=jobs, out=out, wall_limit=wall_limit, advance=advance)
        except KeyboardInterrupt as error:
            raise _shortly(error) from None


def _shortly(error: KeyboardInterrupt) -> KeyboardInterrupt:
    """Ctrl-C, or a notebook's button: its traceback leads to the program, not through what runs it."""
    return error.with_traceback(shortened(error.__traceback__, *_RUNNERS))
