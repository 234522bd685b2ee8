"""Four pictures of the figures: detection, false deaths, bytes over n, formulas over measurement; and one of phi.

Knows no limit. Tests: tests/benchmarks/test_plots.py.
"""

from math import e, isnan, nan
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from benchmarks.swim import workloads
from benchmarks.swim.rows import Results, config_of, formula_cell

__all__ = ["draw"]

COLOURS = {"ours": "#0b6e4f", "memberlist": "#d1801f", "plain": "#8a8a8a"}
NAMES = {"ours": "ours", "memberlist": "memberlist's values", "plain": "plain SWIM"}


def draw(results: dict[int, Results], directory: Path) -> None:
    for name, picture, rows in (
        ("detection", detection, results[1] | results[2]),
        (
            "false-deaths",
            false_deaths,
            results[3] | {("stall " + cell, arm): r for (cell, arm), r in results[5].items()},
        ),
        ("bytes", sent, results[13]),
        ("formulas", formulas, results[14]),
        ("phi", phi, workloads.phi(config_of("ours"), 1)),
    ):
        figure, axes = plt.subplots(figsize=(7.5, 4.5), dpi=110, constrained_layout=True)
        picture(axes, rows)
        axes.grid(alpha=0.3)
        figure.savefig(directory / f"membership-{name}.png")
        plt.close(figure)


def detection(axes: Any, results: Results) -> None:
    """Share of pairs that know, over seconds from the crash."""
    for (cell, arm), runs in results.items():
        times = sorted(time for run in runs for time in run["times"])
        if not times or (cell != "n=100" and arm != "ours"):
            continue
        shares = [(at + 1) / len(times) for at in range(len(times))]
        main = cell == "n=100"
        style: dict[str, Any] = {"color": COLOURS[arm], "lw": 2.2 if main else 1, "ls": "-" if main else "--"}
        axes.plot(times, shares, label=f"{NAMES[arm]}, {cell}, {len(runs)} seeds", **style)
    axes.set(xlabel="seconds from the crash", ylabel="share of survivors that know", title="Crash, 1 % loss")
    axes.set_xlim(left=0)
    if axes.lines:
        axes.legend(fontsize=8)


def false_deaths(axes: Any, results: Results) -> None:
    """Share of runs with a false death: starved members at each loss, and stalls."""
    labels: list[str] = []
    for cell, _ in results:
        kind = " ".join(cell.split()[:3]) if not cell.startswith("stall") else cell
        if kind not in labels and " 0 slow" not in cell:
            labels.append(kind)
    for offset, arm in ((-0.2, "ours"), (0.2, "plain")):
        shares = []
        for label in labels:
            runs = [
                r
                for (c, a), rs in results.items()
                if a == arm and c.startswith(label) and " 0 slow" not in c
                for r in rs
            ]
            bad = sum((run["false"] if "false" in run else run["others"] + run["by_stopped"]) > 0 for run in runs)
            shares.append(100 * bad / len(runs) if runs else nan)
        axes.barh([at + offset for at in range(len(labels))], shares, 0.38, color=COLOURS[arm], label=NAMES[arm])
        for at, share in enumerate(shares):
            text = "not run" if isnan(share) else "" if share else "0"
            axes.text(0.5, at + offset, text, va="center", fontsize=6, color=COLOURS[arm])
    axes.set_yticks(range(len(labels)), labels, fontsize=7)
    axes.invert_yaxis()
    axes.set(xlabel="runs with a false death, %", title="Starved members (n, loss) and stalls", xlim=(0, 100))
    axes.legend(fontsize=8)


def sent(axes: Any, results: Results) -> None:
    """Bytes a member a second at rest, over n."""
    for arm in ("ours", "plain"):
        points = sorted(
            (int(cell[2:]), sum(run["bytes"] for run in runs) / len(runs))
            for (cell, of), runs in results.items()
            if of == arm and "slow" not in cell
        )
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=COLOURS[arm], label=NAMES[arm])
    axes.plot([50, 200, 1000], [245, 490, 1640], "s:", color=COLOURS["memberlist"], label="kinship (published)")
    axes.set(xscale="log", yscale="log", xlabel="members", ylabel="sealed bytes a member a second", title="At rest")
    axes.legend(fontsize=8)


def formulas(axes: Any, results: Results) -> None:
    """Measured over computed false detections a period; on the line they agree."""
    points = []
    for (cell, _), runs in results.items():
        if cell.startswith("q="):
            delivered, helpers = formula_cell(cell)
            computed = (1 - delivered**2) * (1 - delivered**4) ** helpers * e / (e - 1)
            measured = sum(run["failed"] for run in runs) / sum(run["probed"] for run in runs)
            points.append((computed, measured))
            axes.annotate(cell, (computed, measured), textcoords="offset points", xytext=(8, -4), fontsize=8)
    if points:
        ends = (min(map(min, points)) * 0.6, max(map(max, points)) * 2.5)
        axes.plot(ends, ends, color=COLOURS["plain"], lw=1)
        axes.plot(*zip(*points, strict=True), "o", color=COLOURS["ours"])
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="computed (SWIM §3.1)",
        ylabel="measured",
        title="False detections of a member in a period",
    )


def phi(axes: Any, run: dict[str, Any]) -> None:
    """How unusual two silences are, over seconds from the crash of one of the two."""
    for name, colour, label in (
        ("healthy", COLOURS["ours"], "a healthy member"),
        ("crashed", COLOURS["memberlist"], "the member that crashes"),
    ):
        axes.plot(run["times"], [nan if each is None else each for each in run[name]], color=colour, label=label)
    for at, what in ((0.0, "crash"), (run["suspected"], "suspected"), (run["failed"], "failed")):
        axes.axvline(at, color=COLOURS["plain"], lw=1, ls=":")
        axes.annotate(what, (at, 1), xycoords=("data", "axes fraction"), rotation=90, fontsize=8, ha="right", va="top")
    axes.set(xlabel="seconds from the crash", ylabel="phi at another member", title="Five members, 1 % loss")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, loc="upper left")
