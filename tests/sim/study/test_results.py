"""The file that keeps a study: what it is taken for, what it refuses, what it survives."""

import errno
import os
from pathlib import Path

import msgspec
import pytest

from sim.scenario.verdict import Verdict
from sim.study import Refused, Result, Row, SweepError, plan
from sim.study.results import Results, header_of
from sim.study.sources import _with_neighbours


def row(seed: int) -> Row:
    return Row(
        seed=seed,
        parameters={"network.loss": 0.5},
        verdict=Verdict.HOLDS,
        digest="d",
        measured={"p99": 0.25, "lost": None},
        saw=(),
        error=None,
        virtual_seconds=1.0,
        wall_seconds=0.1,
    )


@pytest.fixture
def header(draws):
    return header_of(plan(draws(), matrix={"network.loss": [0.0, 0.5]}))


@pytest.fixture
def kept(tmp_path, header) -> Path:
    """A file with three results."""
    path = tmp_path / "deep" / "kept.jsonl"
    results = Results(path, header)
    for seed in (1, 2, 3):
        results.append(msgspec.json.encode(row(seed)))
    results.close()
    return path


def opened(path: Path, header) -> list[Row]:
    results = Results(path, header)
    results.close()
    return results.rows


def test_rows_come_back_as_they_were_kept(kept, header):
    assert opened(kept, header) == [row(1), row(2), row(3)]
    assert len(kept.read_text().splitlines()) == 4


def test_a_file_cut_at_any_byte_keeps_every_whole_line_and_is_gone_on_with(kept, header):
    whole = kept.read_bytes()
    for length in range(0, len(whole), 7):
        kept.write_bytes(whole[:length])
        rows = opened(kept, header)
        assert rows == [row(seed) for seed in (1, 2, 3)][: max(0, whole[:length].count(b"\n") - 1)]
        assert whole.startswith(kept.read_bytes())


def test_a_line_in_the_middle_that_is_no_result_is_named(kept, header):
    lines = kept.read_bytes().splitlines(keepends=True)
    kept.write_bytes(b"".join([*lines[:2], b"what is this?\n", *lines[2:]]))
    with pytest.raises(Refused, match=r"kept\.jsonl:3: this line is no result"):
        opened(kept, header)


@pytest.mark.parametrize("text", ["my notes\n", "my notes", '{"format": "other"}\n', "[1, 2]\n", "\0\0\0"])
def test_a_file_of_somebody_else_is_left_alone(tmp_path, header, text):
    path = tmp_path / "notes.txt"
    path.write_text(text)
    with pytest.raises(Refused, match="no results file of a sweep, and is left alone"):
        opened(path, header)
    assert path.read_text() == text


def test_results_of_another_format_are_told_as_such(kept, header):
    kept.write_text(kept.read_text().replace('"version":1', '"version":2', 1))
    with pytest.raises(Refused, match="its format is version 2, this rpcnet writes version 1"):
        Results(kept, header)


def test_a_changed_scenario_is_refused_and_told_where(kept, draws):
    changed = header_of(plan(draws('\n[cluster]\npreset = "wan"\n'), matrix={"network.loss": [0.0, 0.5]}))
    with pytest.raises(Refused, match=r"the scenario has changed since \(line 17 .*delete the file to begin anew"):
        opened(kept, changed)


def test_another_range_of_seeds_in_the_file_is_no_change(draws, tmp_path):
    path = tmp_path / "kept.jsonl"
    opened(path, header_of(plan(draws('\n[sweep]\nseeds = "1:3"\n'))))
    assert opened(path, header_of(plan(draws('\n[sweep]\nseeds = "1:9"\n')))) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"matrix": {"duration": ["1s"]}}, r'matrix: \{"network.loss":\[0.0,0.5\]\} then, \{"duration".* now'),
        ({"defects": ("no_healing",)}, r'defects: none then, \["no_healing"\] now'),
        ({"overrides": ("seed=4",)}, r'overrides: none then, \["seed=4"\] now'),
        ({"python": "3.99.0"}, "python was .* and is 3.99.0"),
        ({"code": "other"}, "the code of rpcnet, sim or the applications, or a file .* has changed since"),
        ({"scenario": "other"}, "its scenario is draws, not other"),
    ],
)
def test_what_else_has_changed_is_named(kept, header, change, words):
    with pytest.raises(Refused, match=words):
        opened(kept, msgspec.structs.replace(header, **change))


def test_the_code_of_an_application_counts(folder, draws):
    before = header_of(plan(draws()))
    assert header_of(plan(draws())) == before
    (folder / "sweep_apps.py").write_text((folder / "sweep_apps.py").read_text() + "\n")
    assert header_of(plan(draws())).code != before.code


def test_what_an_application_imports_from_beside_it_counts(folder, draws):
    """However far away, a package as well; what nobody imports does not."""
    apps = folder / "sweep_apps.py"
    apps.write_text(apps.read_text() + "\n    import near\n")
    (folder / "near.py").write_text("from far.inner import rate\n")
    (folder / "far").mkdir()
    inner = folder / "far" / "inner.py"
    inner.write_text("import near\nrate = 1\n")
    (folder / "study.py").write_text("import sim\n")
    codes = [header_of(plan(draws())).code]
    inner.write_text("import near\nrate = 2000\n")
    codes.append(header_of(plan(draws())).code)
    (folder / "study.py").write_text("import sim, sys\n")
    codes.append(header_of(plan(draws())).code)
    assert codes[0] != codes[1] == codes[2]


def test_of_two_neighbours_of_one_name_the_same_counts_in_every_process(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"app_of_{name}.py").write_text("import sweep_neighbour\n")
        (tmp_path / name / "sweep_neighbour.py").write_text(f"# {name}\n")
        monkeypatch.syspath_prepend(str(tmp_path / name))
    names = ["app_of_one", "app_of_two"]
    assert _with_neighbours(names) == _with_neighbours(reversed(names))


def test_the_file_of_a_graph_and_measured_latencies_count(folder, draws):
    import networkx

    graph = networkx.Graph()
    graph.add_edge("one", "hub", latency="1ms")
    networkx.write_graphml(graph, folder / "net.graphml")
    (folder / "rtt.csv").write_text("1ms,2ms\n")

    def codes():
        by_graph = plan(draws(), matrix={"network.graph": ["net.graphml"]})
        by_samples = plan(draws(), matrix={"network.latency": ["samples(rtt.csv)"]})
        return header_of(by_graph).short, header_of(by_samples).short

    before = codes()
    assert codes() == before
    graph.add_edge("one", "hub", latency="9ms")
    networkx.write_graphml(graph, folder / "net.graphml")
    (folder / "rtt.csv").write_text("1ms,3ms\n")
    assert all(old != new for old, new in zip(before, codes(), strict=True))


def test_two_sweeps_do_not_write_to_one_file(kept, header):
    first = Results(kept, header)
    with pytest.raises(Refused, match="another sweep is writing to it"):
        Results(kept, header)
    first.close()
    assert len(opened(kept, header)) == 3


@pytest.mark.parametrize("room", [0, 1, 50])
def test_a_full_disk_is_told_and_what_was_kept_stays_whole(kept, header, monkeypatch, room):
    results = Results(kept, header)
    before = kept.read_bytes()
    real, left = os.write, [room]

    def write(descriptor: int, data) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = real(descriptor, data[: left[0]])
        left[0] -= done
        return done

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(SweepError, match=r"kept\.jsonl: No space left on device; all results up to here are kept"):
        results.append(msgspec.json.encode(row(4)))
    monkeypatch.undo()
    results.close()
    assert kept.read_bytes() == before


def test_a_place_that_cannot_be_written_is_refused(tmp_path, header):
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match=r"File exists|Not a directory"):
        Results(tmp_path / "file" / "kept.jsonl", header)
    with pytest.raises(Refused, match="Is a directory"):
        Results(tmp_path, header)


def test_a_failure_says_first_what_the_application_raised(draws):
    row = Row(
        seed=1,
        parameters={},
        verdict=Verdict.FAILS,
        digest="",
        measured={},
        saw=("no_leaks inconclusive: no node was stopped in order",),
        error="one (draws:main): ValueError: broken\n  a traceback",
        virtual_seconds=1.0,
        wall_seconds=0.1,
    )
    found = Result(row=row, cell=plan(draws()).cells[0])
    assert repr(found) == "<Result seed=1: fails one (draws:main): ValueError: broken>"
