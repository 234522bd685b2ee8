"""Faults upon an axis of time: a dashed line where one begins, grey while it lasts, and labels that do not overlap.

Tests: tests/sim/report/test_faults.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from sim.history import FaultSeen
from sim.report import figure as style
from sim.report.words import fault_label

__all__ = ["ROW_POINTS", "Label", "label_faults", "mark_faults", "place_labels"]

MAX_ROWS = 6
LONG, SHORT = 80, 44
"""Characters of a label where there is room, and where there is less."""
POINTS = 7.5
CHARACTER = 0.6 * POINTS
"""Mean width of a character in DejaVu Sans, in points."""
ROW_POINTS = 11.0


def mark_faults(axes: Axes, faults: Sequence[FaultSeen]) -> None:
    """A line where each fault that took effect began, grey until it was undone."""
    for fault in (f for f in faults if not f.idle):
        axes.axvline(fault.time, color=style.INK, linestyle=(0, (4, 2)), linewidth=0.9, zorder=3)
        if fault.undone is not None:
            axes.axvspan(fault.time, fault.undone, facecolor=style.INK, alpha=0.05, zorder=0)


def place_labels(faults: Sequence[FaultSeen], start: float, end: float, width: float) -> list["Label"]:
    """Labels for the faults that took effect, above axes `width` points wide that show `start` to `end`.

    From the right, each as low as it fits: none covers another, nor the line that leads up to another. Where there is
    no room for its text a fault gets its number, and where there is none for that, nothing.
    """
    shown = [f for f in faults if not f.idle]
    placed: list[Label] = []
    for fault in sorted(shown, key=lambda f: (-f.time, f.number)):
        x = (fault.time - start) / (end - start) * width
        text = f"{fault.number} {fault_label(fault)}"
        texts = (_cut(text, LONG), _cut(text, SHORT), str(fault.number))
        fits = (c for t in texts for c in _candidates(fault.time, x, t, width) if not any(map(c.meets, placed)))
        placed += [label for label in (next(fits, None),) if label is not None]
    return placed


def label_faults(axes: Axes, labels: Sequence["Label"]) -> None:
    """Write the labels above the axes, each with a line down to its moment."""
    line = {"arrowstyle": "-", "color": style.INK, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0}
    for label in labels:
        at = (label.time, 1)
        axes.annotate(
            label.text, at, xycoords=("data", "axes fraction"), textcoords="offset points",
            xytext=(-3 if label.leftward else 3, 3 + ROW_POINTS * label.row),
            ha="right" if label.leftward else "left", va="bottom", fontsize=POINTS,
        )  # fmt: skip
        axes.annotate(
            "", at, xycoords=("data", "axes fraction"), textcoords="offset points",
            xytext=(0, ROW_POINTS * (label.row + 1)), arrowprops=line,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Label:
    """Where a label stands: from `low` to `high` (points), in a row; its line goes up at `x`."""

    time: float
    text: str
    x: float
    low: float
    high: float
    row: int
    leftward: bool

    def meets(self, other: "Label") -> bool:
        """Whether one covers the other, or the line that leads up to it."""
        if self.row == other.row:
            return self.low < other.high and other.low < self.high
        below, above = (self, other) if self.row < other.row else (other, self)
        return below.low < above.x < below.high


def _candidates(time: float, x: float, text: str, width: float) -> list[Label]:
    length = CHARACTER * len(text) + 6
    leftward = x + length > width
    low, high = (x - length, x - 0.1) if leftward else (x + 0.1, x + length)
    return [Label(time, text, x, low, high, row, leftward) for row in range(MAX_ROWS)]


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
