"""From a file to a running program to a verdict. This file is a list."""

from sim.scenario.mistake import ScenarioError
from sim.scenario.schema import Scenario
from sim.scenario.verdict import Judgement, Verdict

__all__ = ["Judgement", "Scenario", "ScenarioError", "Verdict"]
