"""`rpcnet-sim check-determinism`: run each seed twice, and name the first event that differs.

How that is done is in sim.study.determinism.

Tests: tests/sim/study/test_determinism.py, tests/sim/cli/test_run_and_check.py.
"""

from pathlib import Path

from sim.cli import output, terminal
from sim.cli.arguments import Seeds, Settings, demand_files, loaded, seeds_of
from sim.cli.exits import FAILS, HOLDS, INTERNAL, worst

__all__ = ["check_determinism"]


def check_determinism(*files: Path, seeds: Seeds = None, settings: Settings = []) -> int:  # noqa: B006 - see check
    """Run each seed in two processes that differ in what must not matter; name the first event that differs, and why.

    Parameters
    ----------
    files:
        Scenario files (TOML).
    """
    demand_files("check-determinism", files)
    from sim.study import determinism

    wanted = None if seeds is None else seeds_of(seeds)
    codes: list[int] = []
    for file, scenario in loaded(files, settings, codes):
        chosen = [scenario.seed] if wanted is None else wanted
        with terminal.progress(f"{scenario.name} (sim)", len(chosen)) as advance:
            try:
                for twin in determinism.check_determinism(file, chosen, settings):
                    output.twin(file, twin)
                    codes.append(HOLDS if twin.same else FAILS)
                    advance()
            except determinism.TwinError as error:
                output.wrong(f"{file}: {error}")
                codes.append(INTERNAL)
    return worst(codes)
