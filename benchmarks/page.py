"""The page of a run of many nodes: its bytes, the seconds that it takes, and the trace's bytes on disk.

python benchmarks/page.py [--nodes 1000] [--seconds 30] [--trace DIR] [--json]

Runs scenarios/large/mass_crash.toml with so many nodes (a thousand take two minutes), or takes the trace and the
result that an earlier run left in DIR, and writes the page. Bars: page ≤ 1 MB, written in ≤ 10 s, trace ≤ half of its
bytes. Seconds of this process's CPU are printed beside those of the clock, as other work on the machine counts in
these alone. Exit code 1 where a bar does not hold.
"""

import argparse
import json
import sys
import tempfile
import time
import zlib
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import sim
from sim.report import write_report
from sim.trace.layout import CHUNK, GZIP

PAGE, SECONDS, SHARE = 1_000_000, 10.0, 0.5
SCENARIO = Path(__file__).parents[1] / "scenarios/large/mass_crash.toml"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30.0, help="virtual seconds of the run")
    parser.add_argument("--trace", type=Path, help="keep the run here, or take it from here")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = options.trace or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        result = _run(directory, options.nodes, options.seconds)
        found = _measure(directory / "trace.msgpack", result, Path(temporary) / "page")
    print(json.dumps(found) if options.json else _told(found))
    holds = found["page_bytes"] <= PAGE and found["cpu_seconds"] <= SECONDS and found["trace_share"] <= SHARE
    return 0 if holds else 1


def _run(directory: Path, nodes: int, seconds: float) -> dict[str, Any]:
    kept = directory / "result.json"
    if not kept.exists():
        scenario = sim.Scenario.load(SCENARIO, overrides=[f"node.member.count={nodes}", f"duration={seconds:g}s"])
        run = scenario.run(trace=directory / "trace.msgpack")
        kept.write_text(json.dumps(run.result()), encoding="utf-8")
    result: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return result


def _measure(trace: Path, result: dict[str, Any], out: Path) -> dict[str, Any]:
    began, cpu = time.perf_counter(), time.process_time()
    page = write_report(out, result, trace)
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    return {
        "nodes": len(result["nodes"]),
        "page_bytes": page.stat().st_size,
        "wall_seconds": round(wall, 2),
        "cpu_seconds": round(used, 2),
        "trace_bytes": trace.stat().st_size,
        "trace_share": round(trace.stat().st_size / _expanded(trace), 3),
    }


def _expanded(trace: Path) -> int:
    """Bytes of the trace before it was compressed."""
    expand, size = zlib.decompressobj(GZIP), 0
    with trace.open("rb") as file:
        while chunk := file.read(CHUNK):
            size += len(expand.decompress(chunk))
    return size


def _told(found: dict[str, Any]) -> str:
    return (
        f"{found['nodes']:,} nodes: page {found['page_bytes']:,} bytes (bar {PAGE:,}), written in "
        f"{found['wall_seconds']:.1f} s, {found['cpu_seconds']:.1f} s of CPU (bar {SECONDS:g} s); trace "
        f"{found['trace_bytes']:,} bytes, {found['trace_share']:.0%} of what it holds (bar {SHARE:.0%})"
    )


if __name__ == "__main__":
    sys.exit(main())
