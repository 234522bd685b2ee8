"""`rpcnet-sim list`: what there is to run.

Tests: tests/sim/cli/test_usage.py.
"""

from pathlib import Path

from sim.cli import output
from sim.cli.exits import HOLDS

__all__ = ["listing"]


def listing() -> int:
    """List what there is to run: the scenarios in `scenarios/`, and the defects that `--defect` knows."""
    from rpcnet.app import add_working_directory
    from sim import defects
    from sim.scenario.load import load
    from sim.scenario.mistake import ScenarioError

    add_working_directory()
    output.line("scenarios")
    for file in sorted(Path("scenarios").glob("*.toml")):
        try:
            output.item(str(file), load(file).summary)
        except ScenarioError as error:
            output.item(str(file), f"cannot be read: {error.message}")
    output.line("defects")
    for name in defects.names():
        output.item(name, defects.summary(name))
    return HOLDS
