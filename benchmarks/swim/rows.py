"""The fourteen figures: each row's cells, how many seeds, what the others publish, and what ours must hold.

A row is measured with our preset, with memberlist's values (`memberlist`), with plain SWIM (`plain`: local health,
confirmations, buddy system and TCP probe off), where members flap with our preset without hold-down (`undamped`), and
where news spreads with plain SWIM that has probes and acks alone to carry it (`piggyback`).
Percentiles are nearest rank over pairs (survivor, seed). A limit is that of the row: it is never changed to fit.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import ceil, e, sqrt
from typing import Any

from benchmarks.swim import workloads
from rpcnet.config import ClusterConfig

__all__ = ["ROWS", "Cell", "Figure", "Row", "config_of", "percentile"]

Results = dict[tuple[str, str], list[dict[str, Any]]]
"""By cell and arm, one for each seed."""
FOREVER = float("inf")


def config_of(arm: str) -> ClusterConfig:
    if arm == "ours":
        return ClusterConfig.lan()
    if arm == "undamped":
        return replace(ClusterConfig.lan(), hold_down=0.0)
    peer = ClusterConfig.memberlist_lan()
    if arm == "memberlist":
        return peer
    plain = replace(
        peer, max_awareness=0, max_suspicion_multiplier=1.0, tcp_probe=False, question_at=0.0, buddy_system=False
    )
    if arm == "plain":
        return plain
    if arm == "piggyback":  # news travels on probes and acks, as in §4.1 of the SWIM paper; no gossip ticks
        return replace(plain, gossip_interval=3600.0)
    if arm == "formula":
        return replace(plain, probe_order="random", push_pull_interval=0.0)
    if arm == "dsn2002":  # SWIM's own settings of §5.3
        return replace(plain, probe_interval=2.0, indirect_probes=1, suspicion_multiplier=3.0, retransmit_multiplier=3)
    raise ValueError(f"there is no arm {arm!r}")


@dataclass(frozen=True)
class Figure:
    """One number, and its limit. `holds` is None for one that is only told."""

    what: str
    value: float
    limit: str = ""
    holds: bool | None = None
    seeds: int = 0


@dataclass(frozen=True)
class Cell:
    name: str
    run: Callable[..., dict[str, Any]]
    keys: dict[str, Any] = field(default_factory=dict)
    seeds: int = 1000
    quick: int = 0
    """Seeds of the quick form; 0 = it is not part of that."""
    arms: tuple[str, ...] = ("ours", "plain")
    control: int = 0
    """Seeds of the arms but ours; 0 = as many."""


@dataclass(frozen=True)
class Row:
    number: int
    title: str
    others: str
    cells: Sequence[Cell]
    judge: Callable[[Results], Iterable[Figure]]


def percentile(values: Iterable[float], share: float) -> float:
    """Nearest rank; NaN of none."""
    held = sorted(values)
    return held[max(0, ceil(share * len(held)) - 1)] if held else float("nan")


def all_of(results: Results, cell: str, arm: str, key: str) -> list[Any]:
    return [run[key] for run in results.get((cell, arm), [])]


def times_of(results: Results, cell: str, arm: str) -> list[float]:
    """Of all pairs; one that was missed counts as for ever."""
    times = []
    for run in results.get((cell, arm), []):
        times += run["times"] + [FOREVER] * run["missed"]
    return times


def at_most(what: str, value: float, limit: float, seeds: int) -> Figure:
    return Figure(what, value, f"≤ {limit:g}", value <= limit, seeds)


def at_least(what: str, value: float, limit: float, seeds: int) -> Figure:
    return Figure(what, value, f"≥ {limit:g}", value >= limit, seeds)


# Judges.


def crashes(limits: dict[str, tuple[float, ...]], results: Results) -> Iterable[Figure]:
    for (cell, arm), runs in results.items():
        if not runs or "times" not in runs[0]:
            continue
        times, n, text = times_of(results, cell, arm), len(runs), f"{cell} {arm}"
        worst = max((FOREVER if run["missed"] else max(run["times"]) for run in runs), default=FOREVER)
        false = sum(all_of(results, cell, arm, "false"))
        values = (percentile(times, 0.5), percentile(times, 0.99), worst)
        for name, value, limit in zip(
            ("p50 s", "p99 s", "last s"), values, [*limits.get(cell, ()), None, None, None], strict=False
        ):
            if arm == "ours" and limit is not None:
                yield at_most(f"{text} {name}", value, limit, n)
            else:
                yield Figure(f"{text} {name}", value, seeds=n)
        if arm == "ours":
            yield at_most(f"{text} false deaths", false, 0, n)
            yield at_most(f"{text} undetected", sum(all_of(results, cell, arm, "missed")), 0, n)


STARVED_CELLS = 18
"""With members that read late; what plain SWIM must do worse is said of all together."""


def starved_grid(results: Results) -> Iterable[Figure]:
    share = {}
    for arm in ("ours", "plain"):
        grid = {cell: runs for (cell, of), runs in results.items() if of == arm and " 0 slow" not in cell}
        count = sum(map(len, grid.values()))
        bad = sum(run["false"] > 0 for runs in grid.values() for run in runs)
        large = [run["false"] > 0 for cell, runs in grid.items() for run in runs if cell.startswith("n=200")]
        if not count:
            continue
        of_3600 = share[arm] = bad / count * 3600
        if arm == "plain":
            if sum(map(bool, grid.values())) == STARVED_CELLS:
                yield at_least("plain: runs with a false death, of 3,600", of_3600, 1500, count)
            else:
                ours = share.get("ours", 0.0)
                yield Figure("plain: the same", of_3600, f"> {ours:g}", of_3600 > ours, count)
            continue
        yield at_most("runs with a false death, of 3,600", of_3600, 20, count)
        if large:
            yield at_most("the same at n = 200", sum(large), 0, len(large))
        for (cell, of), runs in results.items():
            if of == arm and runs:
                yield at_most(f"{cell}: p99 s", percentile(times_of(results, cell, arm), 0.99), 11.0, len(runs))


def losses(results: Results) -> Iterable[Figure]:
    for (cell, arm), runs in results.items():
        if not runs:
            continue
        n = len(runs)
        false = sum(run["false"] for run in runs)
        if cell == "17 join":
            least = min(run["least"] for run in runs)
            yield (
                at_least(f"{cell} {arm}: fewest seen", least, 17, n)
                if arm == "ours"
                else Figure(f"{cell} {arm}: fewest seen", least, seeds=n)
            )
        elif "30 %" in cell:
            share = sum(run["false"] > 0 for run in runs) / n
            what = f"{cell} {arm}: share of seeds with a false death"
            yield at_most(what, share, 0.01, n) if arm == "ours" else Figure(what, share, seeds=n)
            continue
        what = f"{cell} {arm}: false deaths"
        yield at_most(what, false, 0, n) if arm == "ours" else Figure(what, false, seeds=n)


def stalls(results: Results) -> Iterable[Figure]:
    for (cell, arm), runs in results.items():
        if not runs:
            continue
        n = len(runs)
        figures = {"others": "deaths of the healthy", "by_stopped": "deaths declared on waking"}
        if " 3 s" in cell:
            figures = {"deaths": "deaths"}
        back = percentile((FOREVER if run["back"] is None else run["back"] for run in runs), 0.99)
        for key, what in figures.items():
            count = sum(run[key] for run in runs)
            yield (
                at_most(f"{cell}: {what}", count, 0, n)
                if arm == "ours"
                else Figure(f"{cell} {arm}: {what}", count, seeds=n)
            )
        if arm == "ours":
            yield at_most(f"{cell}: all alive again p99 s", back, 1.0, n)
        else:
            yield Figure(f"{cell} {arm}: all alive again p99 s", back, seeds=n)


def block_grid(results: Results) -> Iterable[Figure]:
    totals = {"ours": [0, 0, 0], "plain": [0, 0, 0]}
    few = 0
    for (cell, arm), runs in results.items():
        for run in runs:
            totals[arm][0] += run["total"]
            totals[arm][1] += run["healthy"]
            totals[arm][2] += 1
            if arm == "ours" and int(cell.split()[0][2:]) <= 8:
                few += run["healthy"]
    ours, plain = totals["ours"], totals["plain"]
    if not ours[2]:
        return
    yield at_most("false deaths between healthy ones, C ≤ 8", few, 0, ours[2])
    yield Figure("false deaths of the healthy, ours", ours[0], seeds=ours[2])
    yield Figure("false deaths of the healthy, plain", plain[0], seeds=plain[2])
    if plain[2]:
        scale = ours[2] / plain[2]
        yield at_most("total, % of plain", 100 * ours[0] / max(1.0, plain[0] * scale), 1, ours[2])
        yield at_most("between healthy ones, % of plain", 100 * ours[1] / max(1.0, plain[1] * scale), 1, ours[2])


def bad_networks(results: Results) -> Iterable[Figure]:
    for (cell, arm), runs in results.items():
        if not runs:
            continue
        n = len(runs)
        worst = {key: max(run[key] for run in runs) for key in ("changes", "suspicions", "exits", "spread")}
        text = f"{cell} {arm}"
        if arm != "ours":
            for key, value in worst.items():
                yield Figure(f"{text}: {key}", value, seeds=n)
            continue
        yield at_most(f"{text}: deaths and returns of the healthy", worst["changes"], 0, n)
        yield at_most(f"{text}: suspicions of the healthy", worst["suspicions"], 0, n)
        yield at_most(f"{text}: exits of a faulty one", worst["exits"], 2, n)
        yield at_most(f"{text}: views equal within s", worst["spread"], 3.0, n)


def worst_took(limits: dict[str, float], results: Results) -> Iterable[Figure]:
    for (cell, arm), runs in results.items():
        if runs:
            worst = max(FOREVER if run["took"] is None else run["took"] for run in runs)
            what = f"{cell} {arm}: all see all, worst s"
            yield (
                at_most(what, worst, limits[cell], len(runs)) if arm == "ours" else Figure(what, worst, seeds=len(runs))
            )


def tag_updates(results: Results) -> Iterable[Figure]:
    for (cell, arm), runs in results.items():
        last = [FOREVER if run["last"] is None else run["last"] for run in runs]
        for name, value, limit in (
            ("p50 s", percentile(last, 0.5), 0.9),
            ("p99 s", percentile(last, 0.99), 1.5),
            ("worst s", max(last, default=FOREVER), 3.0),
            ("older after newer, or torn", sum(run["wrong"] for run in runs), 0),
            ("last of ten missed", sum(run["missed"] for run in runs), 0),
        ):
            what = f"{cell} {arm}: last member {name}"
            yield at_most(what, value, limit, len(runs)) if arm == "ours" else Figure(what, value, seeds=len(runs))


def kills(results: Results) -> Iterable[Figure]:
    silent = {key: runs for key, runs in results.items() if "back" not in key[0]}
    limits = {cell: (2.0, 3.0) for cell, _ in silent}
    yield from crashes(limits, silent)
    for (cell, arm), runs in results.items():
        if "back" in cell and runs:
            false = sum(run["false"] for run in runs)
            what = f"{cell} {arm}: false deaths"
            yield at_most(what, false, 0, len(runs)) if arm == "ours" else Figure(what, false, seeds=len(runs))


def cuts(results: Results) -> Iterable[Figure]:
    for (cell, arm), runs in results.items():
        if not runs:
            continue
        took = [FOREVER if run["took"] is None else run["took"] for run in runs]
        for name, value, limit in (("p99 s", percentile(took, 0.99), 10.0), ("worst s", max(took), 20.0)):
            what = f"{cell} {arm}: all see all {name}"
            yield at_most(what, value, limit, len(runs)) if arm == "ours" else Figure(what, value, seeds=len(runs))


def restarts(results: Results) -> Iterable[Figure]:
    for (cell, arm), runs in results.items():
        if not runs:
            continue
        p99, n = percentile(times_of(results, cell, arm), 0.99), len(runs)
        if arm != "ours":
            yield Figure(f"{cell} {arm}: all hold the new run p99 s", p99, seeds=n)
            continue
        yield at_most(f"{cell}: all hold the new run p99 s", p99, 2.0, n)
        yield at_most(f"{cell}: new run said dead", sum(run["dead"] for run in runs), 0, n)
        yield at_most(f"{cell}: undone by an old rumour", sum(run["undone"] for run in runs), 0, n)


def costs(limits: dict[str, float], results: Results) -> Iterable[Figure]:
    for (cell, arm), runs in results.items():
        if not runs:
            continue
        value, n = sum(run["bytes"] for run in runs) / len(runs), len(runs)
        what = f"{cell} {arm}: bytes a member a second"
        yield at_most(what, value, limits[cell], n) if arm == "ours" else Figure(what, value, seeds=n)
        if "slow" not in cell:
            packets = sum(run["packets"] for run in runs) / n
            what = f"{cell} {arm}: messages a member a period"
            yield (
                Figure(what, packets, "2.0 – 2.2", 2.0 <= packets <= 2.2, n)
                if arm == "ours"
                else Figure(what, packets, seeds=n)
            )


def formulas(results: Results) -> Iterable[Figure]:
    for (cell, arm), runs in results.items():
        if not runs:
            continue
        n = len(runs)
        if cell == "first detection":
            periods = [period for run in runs for period in run["periods"]]
            mean, formula = sum(periods) / len(periods), e / (e - 1)
            off = abs(mean / formula - 1) * 100
            yield Figure(f"{cell}: mean periods", mean, f"{formula:.3f} ± 2 %", off <= 2, n)
        elif cell.startswith("gap"):
            gap, limit = max(run["gap"] for run in runs), runs[0]["limit"]
            whole = all(run["pairs"] == run["of"] for run in runs)
            yield Figure(f"{cell} {arm}: most periods", gap, f"≤ {limit}", whole and gap <= limit, n)
        else:
            delivered, helpers = formula_cell(cell)
            chance = (1 - delivered**2) * (1 - delivered**4) ** helpers
            failed, probes = sum(run["failed"] for run in runs), sum(run["probes"] for run in runs)
            # One probe: a binomial 99 % interval. In a period in which it was probed at all: e / (e - 1) of them.
            width = 2.576 * sqrt(chance * (1 - chance) / probes)
            per_period = failed / sum(run["probed"] for run in runs)
            formula = chance * e / (e - 1)
            low, high = (chance - width) * e / (e - 1), (chance + width) * e / (e - 1)
            yield Figure(
                f"{cell}: false detections a period",
                per_period,
                f"{formula:.3g} ({low:.3g} – {high:.3g})",
                low <= per_period <= high,
                n,
            )


def formula_cell(name: str) -> tuple[float, int]:
    """`q=0.95 k=3`."""
    delivered, helpers = name.split()
    return float(delivered[2:]), int(helpers[2:])


# The table.


def grid() -> list[Cell]:
    cells = []
    for members in (50, 200):
        for percent in (1, 3, 5):
            for share in (0, 1, 5, 10):
                slow = max(1, round(members * share / 100)) if share else 0
                cells.append(
                    Cell(
                        f"n={members} {percent} % {slow} slow",
                        workloads.starved,
                        {"members": members, "loss": percent / 100, "slow": slow},
                        seeds=200,
                        quick=2 if members == 50 and slow else 0,
                        control=20,
                    )
                )
    return cells


def stall_cells() -> list[Cell]:
    return [
        Cell(
            f"n={members} {who} {seconds} s",
            workloads.stall,
            {"members": members, "seconds": float(seconds), "share": share},
            seeds=300,
            quick=4 if members == 16 else 2,
            control=50,
        )
        for members in (16, 100)
        for who, share in (("one", 0.0), ("a tenth", 0.1))
        for seconds in (3, 5, 10)
    ]


def cells_of_crash(sizes: Iterable[int], quick: int = 0) -> list[Cell]:
    return [
        Cell(f"n={n}", workloads.crash, {"members": n}, quick=quick, arms=("ours", "memberlist", "plain"), control=200)
        for n in sizes
    ]


THREE = ("ours", "memberlist", "plain")
FLAPPING = ("ours", "undamped", "plain")
ROWS: dict[int, Row] = {
    row.number: row
    for row in (
        Row(
            1,
            "crash, 100 members, 1 % loss",
            "kinship 9.52 / 12.50 / 12.57 s, memberlist 9.86 / 11.98 / 12.11 s",
            cells_of_crash([100], quick=15),
            partial(crashes, {"n=100": (8.0, 8.8, 9.5)}),
        ),
        Row(
            2,
            "the same among 16, 50, 200",
            "kinship (simulated) 50: 8.46 / 12.39, 200: 10.90 / 14.11 s",
            cells_of_crash([16, 50, 200]),
            partial(crashes, {"n=16": (5.4, 6.1), "n=50": (7.1, 7.8), "n=200": (9.0, 9.7)}),
        ),
        Row(
            3,
            "starved members (kinship's grid)",
            "of 3,600 runs with a false death: kinship 108, plain SWIM 2,253; p99 12.2 – 16.6 s",
            grid(),
            starved_grid,
        ),
        Row(
            4,
            "loss alone",
            "kinship 0 at ≤ 5 %; SWIM's own experiment 12 of 17",
            [
                *(
                    Cell(
                        f"n={n} {percent} %",
                        workloads.loss,
                        {"members": n, "loss": percent / 100, "seconds": 100.0},
                        seeds=200,
                        control=20,
                    )
                    for n in (50, 100)
                    for percent in (1, 3, 5, 10)
                ),
                Cell("17 join", workloads.joins, seeds=200, arms=("ours", "plain", "dsn2002"), control=50),
                Cell("n=50 30 %", workloads.loss, {"members": 50, "loss": 0.3, "seconds": 60.0}, seeds=200, control=20),
            ],
            losses,
        ),
        Row(
            5,
            "stall of one, or of a tenth",
            "memberlist and kinship: 3 s pass, 10 s are declared dead",
            stall_cells(),
            stalls,
        ),
        Row(
            6,
            "Lifeguard's grid, n = 128",
            "Lifeguard: 1 – 2 % of SWIM's false deaths",
            [
                Cell(
                    f"C={count} D={seconds} s",
                    workloads.blocks,
                    {"blocked": count, "seconds": seconds},
                    seeds=10,
                    control=3,
                )
                for count in (1, 4, 8, 16, 32)
                for seconds in (0.5, 2.0, 8.0, 32.0)
            ],
            block_grid,
        ),
        Row(
            7,
            "ten of 1,000 with a bad network, 410 s",
            "memberlist oscillates throughout; Rapid removes exactly the ten",
            [
                Cell(kind, workloads.network_faults, {"kind": kind}, seeds=5, arms=FLAPPING, control=1)
                for kind in ("flip_flop", "80_in", "80_out")
            ]
            + [
                Cell(
                    "two of 50 flip_flop",
                    workloads.network_faults,
                    {"kind": "flip_flop", "members": 50, "faulty": 2},
                    seeds=20,
                    quick=1,
                    arms=FLAPPING,
                    control=2,
                )
            ],
            bad_networks,
        ),
        Row(
            8,
            "bootstrap",
            "memberlist 95 s at 2,000, up to 101 s at 100; Rapid 41 – 48 s; at 64 kinship 1.7, 12.5, Serf 1.4, 85.8 s",
            [
                Cell("n=64 within 2 s", workloads.bootstrap, {"members": 64, "spread": 2.0}, seeds=200, control=50),
                Cell("n=100 1 %", workloads.bootstrap, {"members": 100, "loss": 0.01}, control=100),
                Cell("n=1000", workloads.bootstrap, {"members": 1000}, seeds=10, arms=("ours",)),
                Cell("n=2000", workloads.bootstrap, {"members": 2000}, seeds=10, arms=("ours",)),
            ],
            partial(worst_took, {"n=64 within 2 s": 2.0, "n=100 1 %": 3.0, "n=1000": 6.0, "n=2000": 10.0}),
        ),
        Row(
            9,
            "tags, 100 members, 1 % loss",
            "Serf's formula 1.4 s (99 %), scalecube 3.18 s",
            [Cell("n=100", workloads.tags, quick=25, arms=(*THREE, "piggyback"), control=200)],
            tag_updates,
        ),
        Row(
            10,
            "kill with the host up",
            "measured 5.9 – 10.1 s (kinship, Serf) at 16, 8.2 – 11.9 s at 64",
            [
                *(
                    Cell(f"n={n}", workloads.kill, {"members": n}, quick=30 if n == 16 else 10, control=200)
                    for n in (16, 100)
                ),
                *(
                    Cell(f"n={n} back in 0.3 s", workloads.kill, {"members": n, "back": 0.3}, quick=6, control=50)
                    for n in (16, 100)
                ),
            ],
            kills,
        ),
        Row(
            11,
            "partition healed, n = 100",
            "memberlist: never; Serf: one at random each 30 s; kinship 30 s, seeds 60 s",
            [
                Cell(
                    f"{few} : {100 - few} for {minutes} min",
                    workloads.partition,
                    {"few": few, "seconds": minutes * 60.0},
                    seeds=50 if minutes == 2 else 5,
                    arms=("ours", "plain") if minutes == 2 else ("ours",),
                    control=5,
                )
                for minutes in (2, 60)
                for few in (50, 1)
            ],
            cuts,
        ),
        Row(
            12,
            "restart under the same name, n = 100",
            "consul 42 s; akka: blocked; swim-js: old tags return",
            [
                Cell(
                    f"after {after:g} s, {where} address",
                    workloads.restart,
                    {"after": after, "moves": where == "new"},
                    control=50,
                )
                for after in (0.2, 1.0, 10.0)
                for where in ("old", "new")
            ],
            restarts,
        ),
        Row(
            13,
            "cost at rest, sealed",
            "kinship 245 / 490 / 1,640 B/s; SWIM 2.0 messages; memberlist 640 B/s at 1,000",
            [
                Cell(f"n={n}", workloads.cost, {"members": n}, seeds=10 if n < 1000 else 2, control=2)
                for n in (50, 200, 1000)
            ]
            + [
                Cell(f"n={n} 10 % slow", workloads.cost, {"members": n, "slow": 0.1}, seeds=10, control=2)
                for n in (50, 200)
            ],
            partial(
                costs,
                {"n=50": 245, "n=200": 490, "n=1000": 700, "n=50 10 % slow": 1560, "n=200 10 % slow": 4800},
            ),
        ),
        Row(
            14,
            "the papers' formulas, plain SWIM, uniform random targets",
            "1.582 T; q_f(1−q²)(1−q_f q⁴)^k e/(e−1); 2n − 1",
            [
                Cell("first detection", workloads.first_detections, seeds=300, arms=("formula",)),
                *(
                    Cell(
                        f"q={delivered} k={helpers}",
                        workloads.false_detections,
                        {"delivered": delivered, "helpers": helpers},
                        seeds=60,
                        arms=("formula",),
                    )
                    for delivered in (0.9, 0.95)
                    for helpers in (0, 1, 3)
                ),
                Cell("gap n=16", workloads.probe_gaps, seeds=50, arms=THREE),
            ],
            formulas,
        ),
    )
}
