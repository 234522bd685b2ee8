"""`rpcnet-sim check`: say what is wrong with scenario files; run nothing.

Tests: tests/sim/cli/test_run_and_check.py.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sim.cli import output, terminal
from sim.cli.arguments import Flag, Settings, demand_files
from sim.cli.exits import HOLDS, USAGE

if TYPE_CHECKING:
    from sim.scenario.mistake import Mistake
    from sim.scenario.schema import Scenario

__all__ = ["check"]


def check(
    *files: Path,
    settings: Settings = [],  # noqa: B006 - cyclopts wants a list, nobody changes it
    json: Annotated[bool, Flag, Parameter(help="One object a file, one a line.")] = False,
) -> int:
    """Read scenario files, import what they name, say what is wrong; run nothing.

    Parameters
    ----------
    files:
        Scenario files (TOML).
    """
    from rpcnet.app import add_working_directory
    from sim import study
    from sim.scenario.mistake import Mistake, ScenarioError

    demand_files("check", files)
    add_working_directory()
    code = HOLDS
    for file in map(str, files):
        scenario, runs = None, None
        mistakes: tuple[Mistake, ...] = ()
        try:
            scenario = study.load_to_sweep(file, settings)
            # Every cell of its matrix makes sense, too.
            runs = len(study.plan(scenario)) if scenario.sweep_ is not None else None
        except ScenarioError as error:
            mistakes = error.mistakes
        except study.Refused as error:
            mistakes = (Mistake(file, 0, 0, str(error)),)
        code = USAGE if mistakes else code
        if json:
            terminal.object_(_found(file, scenario, runs, mistakes))
        elif mistakes:
            output.mistakes(mistakes)
        elif scenario is not None:
            its_sweep = "" if runs is None else f"; its sweep is {study.counted(runs, 'run')}"
            unjudged = "" if scenario.expect else "; it has no [[expect]], so its runs are inconclusive"
            output.line(f"{file}: {scenario.name} is in order{its_sweep}{unjudged}")
    return code


def _found(file: str, scenario: "Scenario | None", runs: int | None, mistakes: "Sequence[Mistake]") -> dict[str, Any]:
    return {
        "file": file,
        "in_order": not mistakes,
        "scenario": scenario and scenario.name,
        "judged": bool(scenario and scenario.expect),
        "sweep_runs": runs,
        "mistakes": [
            {"file": each.file, "line": each.line or None, "column": each.column or None, "message": each.message}
            for each in mistakes
        ],
    }
