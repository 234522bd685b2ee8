"""`rpcnet-sim list`: what there is to run.

Tests: tests/sim/cli/test_usage.py.
"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sim.cli import output, terminal
from sim.cli.arguments import Flag
from sim.cli.exits import HOLDS

__all__ = ["listing"]


def listing(*, json: Annotated[bool, Flag, Parameter(help="One object each, one a line.")] = False) -> int:
    """List what there is to run: the scenarios in `scenarios/`, and the defects that `--defect` knows."""
    from rpcnet.app import add_working_directory
    from sim import defects
    from sim.scenario.load import load
    from sim.scenario.mistake import ScenarioError

    add_working_directory()
    scenarios: list[tuple[str, str | None, str]] = []
    for file in sorted(map(str, Path("scenarios").glob("*.toml"))):
        try:
            found = load(file)
        except ScenarioError as error:
            scenarios.append((file, None, error.message))
        else:
            scenarios.append((file, found.name, found.summary))
    summaries = {name: defects.summary(name) for name in defects.names()}
    if json:
        for file, name, text in scenarios:
            terminal.object_({"file": file, "scenario": name, ("mistake" if name is None else "summary"): text})
        for name, text in summaries.items():
            terminal.object_({"defect": name, "summary": text})
        return HOLDS
    output.line("scenarios" if scenarios else "scenarios: there is no scenarios/*.toml in the working directory")
    for file, name, text in scenarios:
        output.item(file, text if name is not None else f"cannot be read: {text}")
    output.line("defects")
    for name, text in summaries.items():
        output.item(name, text)
    return HOLDS
