"""From one run to many: a scenario over seeds and a matrix of settings, on all cores, kept as it comes.

Tests: tests/sim/study.
"""

from sim.study.plan import Cell, Plan, counted, load_to_sweep, plan
from sim.study.refusal import Refused, SweepError
from sim.study.rows import CellSummary, Crash, Result, Row, Study
from sim.study.sweep import carry_out, default_out, remaining

__all__ = [
    "Cell",
    "CellSummary",
    "Crash",
    "Plan",
    "Refused",
    "Result",
    "Row",
    "Study",
    "SweepError",
    "carry_out",
    "counted",
    "default_out",
    "load_to_sweep",
    "plan",
    "remaining",
]
