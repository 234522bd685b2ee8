"""From a file to a running program to a verdict. This file is a list of what users import; the room imports its files.

Tests: tests/sim/scenario.
"""

from typing import TYPE_CHECKING, Any

from sim.extras import told

if TYPE_CHECKING:
    from sim.api import Scenario
    from sim.scenario.mistake import ScenarioError
    from sim.scenario.verdict import Judgement, Verdict

__all__ = ["Judgement", "Scenario", "ScenarioError", "Verdict"]


def __getattr__(name: str) -> Any:
    """Names are loaded when they are asked for: whoever needs one file of this room does not load them all."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module: Any
    with told(f"{__name__}.{name}"):
        if name == "Scenario":
            from sim import api as module
        elif name == "ScenarioError":
            from sim.scenario import mistake as module
        else:
            from sim.scenario import verdict as module
    value = globals()[name] = getattr(module, name)
    return value
