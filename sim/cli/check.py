"""`rpcnet-sim check`: say what is wrong with scenario files; run nothing.

Tests: tests/sim/cli/test_run_and_check.py.
"""

from typing import TYPE_CHECKING

from sim.cli import output
from sim.cli.arguments import Settings, demand_files, loaded
from sim.cli.exits import USAGE, UsageError, worst

if TYPE_CHECKING:
    from sim.scenario.schema import Scenario

__all__ = ["check"]


def check(*files: str, settings: Settings = []) -> int:  # noqa: B006 - cyclopts wants a list, nobody changes it
    """Read scenario files, import what they name, say what is wrong; run nothing.

    Parameters
    ----------
    files:
        Scenario files (TOML).
    """
    from sim import study
    from sim.scenario.mistake import ScenarioError

    demand_files("check", files)
    codes: list[int] = []
    for name in files:
        for file, scenario in loaded([name], settings, codes, study.load_to_sweep):
            try:
                its_sweep = _checked_sweep(scenario)
            except ScenarioError as error:
                output.mistakes(error)
                codes.append(USAGE)
            except UsageError as error:
                output.wrong(f"{file}: {error}")
                codes.append(USAGE)
            else:
                unjudged = "" if scenario.expect else "; it has no [[expect]], so its runs are inconclusive"
                output.line(f"{file}: {scenario.name} is in order{its_sweep}{unjudged}")
    return worst(codes)


def _checked_sweep(scenario: "Scenario") -> str:
    """Every cell of its matrix makes sense: how many runs that is, in words. Raises ScenarioError, UsageError."""
    if scenario.sweep_ is None:
        return ""
    from sim import study

    try:
        runs = len(study.plan(scenario))
    except study.Refused as error:
        raise UsageError(str(error)) from error
    return f"; its sweep is {runs} run{'s' if runs != 1 else ''}"
