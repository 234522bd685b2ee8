"""Faults upon an axis of time: a dashed line where one begins, grey while it lasts, and labels that do not overlap."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from sim.report import figure as style
from sim.report.tables import Fault

__all__ = ["fault_label", "mark_faults"]

MAX_ROWS = 6
MAX_CHARACTERS = 44
POINTS = 7.5
CHARACTER = 0.6 * POINTS
"""Mean width of a character in DejaVu Sans, in points."""
ROW_POINTS = 11.0


def fault_label(fault: Fault) -> str:
    """`crash worker-2`; of many targets how many."""
    groups = fault.detail.get("groups")
    if isinstance(groups, (list, tuple)) and groups:
        return f"{fault.verb} " + " | ".join(_names([str(n) for n in g]) for g in groups)
    return f"{fault.verb} {_names(fault.targets)}".strip()


def mark_faults(axes: Axes, faults: Sequence[Fault], *, labels_within: float | None = None) -> None:
    """Mark every fault that took effect. `labels_within` is the width of the axes in points; None = no labels."""
    shown = [f for f in faults if not f.idle]
    for fault in shown:
        axes.axvline(fault.time, color=style.INK, linestyle=(0, (4, 2)), linewidth=0.9, zorder=3)
        if fault.ended is not None:
            axes.axvspan(fault.time, fault.ended, facecolor=style.INK, alpha=0.05, zorder=0)
    if labels_within is None:
        return
    left, right = axes.get_xlim()
    scale = labels_within / (right - left)
    labels = [(scale * (f.time - left), _short(f"{f.number} {fault_label(f)}"), str(f.number)) for f in shown]
    for fault, label in zip(shown, _place(labels, labels_within), strict=True):
        if label is None:
            continue
        axes.annotate(
            label.text, (fault.time, 1), xycoords=("data", "axes fraction"), fontsize=POINTS,
            xytext=(-2 if label.leftward else 2, 3 + ROW_POINTS * label.row), textcoords="offset points",
            ha="right" if label.leftward else "left", va="bottom",
        )  # fmt: skip
        line = {"arrowstyle": "-", "color": style.INK, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0}
        axes.annotate(
            "", (fault.time, 1), xycoords=("data", "axes fraction"),
            xytext=(0, ROW_POINTS * (label.row + 1)), textcoords="offset points", arrowprops=line,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Label:
    text: str
    x: float
    low: float
    high: float
    row: int
    leftward: bool

    def meets(self, other: "_Label") -> bool:
        """Whether one covers the other, or the line that leads up to it."""
        if self.row == other.row:
            return self.low < other.high and other.low < self.high
        below, above = (self, other) if self.row < other.row else (other, self)
        return below.low < above.x < below.high


def _place(labels: Sequence[tuple[float, str, str]], width: float) -> list[_Label | None]:
    """Rows for labels (place, text, short text): from the right, each as low as it fits. None where none is left."""
    placed: list[_Label] = []
    result: list[_Label | None] = [None] * len(labels)
    for index in sorted(range(len(labels)), key=lambda i: (-labels[i][0], i)):
        x, text, short = labels[index]
        fits = (c for t in (text, short) for c in _candidates(x, t, width) if not any(map(c.meets, placed)))
        label = result[index] = next(fits, None)
        if label is not None:
            placed.append(label)
    return result


def _candidates(x: float, text: str, width: float) -> list[_Label]:
    length = CHARACTER * len(text) + 6
    leftward = x + length > width
    low, high = (x - length, x - 0.1) if leftward else (x + 0.1, x + length)
    return [_Label(text, x, low, high, row, leftward) for row in range(MAX_ROWS)]


def _short(text: str) -> str:
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"


def _names(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 2 else f"{len(names)} nodes"
