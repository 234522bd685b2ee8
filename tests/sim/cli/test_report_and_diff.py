"""What `--report` and `--trace` write, and `report` and `diff`, which read it."""

import fnmatch
import json
from pathlib import Path

import pytest

from sim.cli import execute
from sim.trace import read
from tests.sim.cli.talk import FILE


def test_report_holds_page_result_and_trace(folder, capsys):
    assert execute(["run", "holds.toml", "--report", "out"]) == 0
    assert f"report: {Path('out/index.html')}" in capsys.readouterr().out
    result = json.loads((folder / "out" / "result.json").read_text())
    assert result["verdict"] == "holds"
    assert any(event.name == "said" for event in read(folder / "out" / "trace.msgpack"))
    page = (folder / "out" / "index.html").read_bytes()
    (folder / "out" / "index.html").unlink()
    assert execute(["report", "out"]) == 0
    assert (folder / "out" / "index.html").read_bytes() == page


def test_reports_of_several_runs_do_not_overwrite_each_other(folder):
    (folder / "other.toml").write_text(FILE.replace('"talk"', '"other"'))
    execute(["run", "holds.toml", "other.toml", "--seeds", "1:2", "--report", "out"])
    assert sorted(str(p.parent.relative_to(folder)) for p in folder.rglob("index.html")) == [
        "out/other/seed-1",
        "out/other/seed-2",
        "out/talk/seed-1",
        "out/talk/seed-2",
    ]


def test_report_that_cannot_be_written_is_a_usage_error(folder, capsys):
    (folder / "out").write_text("a file")
    assert execute(["run", "holds.toml", "--report", "out"]) == 2
    assert "--report out" in capsys.readouterr().err


def test_events_are_printed_one_a_line(capsys):
    execute(["run", "holds.toml", "--trace", "x.trace"])
    capsys.readouterr()
    assert execute(["report", "x.trace", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["line"] for row in rows] == list(range(1, len(rows) + 1))
    assert rows[0]["event"] == "run_started"


def test_a_trace_that_is_cut_off_is_said_to_be(folder, capsys):
    execute(["run", "holds.toml", "--trace", "whole.trace"])
    whole = Path("whole.trace").read_bytes()
    Path("cut.trace").write_bytes(whole[: len(whole) // 2])
    events = list(read("cut.trace"))
    said = f"the trace is cut off; read were {len(events)} events, "
    said += f"up to {events[-1].time:.3f} s"
    for words in (["report", "cut.trace", "--json"], ["report", "cut.trace"], ["diff", "cut.trace", "whole.trace"]):
        capsys.readouterr()
        assert execute(words) == (1 if "diff" in words else 0)
        err = capsys.readouterr().err
        assert fnmatch.fnmatch(err, f"rpcnet-sim: cut.trace: {said}\n")
    assert fnmatch.fnmatch(Path("cut-report/index.html").read_text(), f"*Not whole:</strong> {said}. What came after*")
    capsys.readouterr()
    execute(["report", "whole.trace"])
    assert not capsys.readouterr().err and "Not whole" not in Path("whole-report/index.html").read_text()


def test_diff_names_the_first_event_that_differs(folder, capsys):
    for word in ("hello", "hullo"):
        execute(["run", "holds.toml", "--set", f"node.one.args.word={word}", "--trace", f"{word}.trace"])
    capsys.readouterr()
    assert execute(["diff", "hello.trace", "hello.trace"]) == 0
    assert capsys.readouterr().out == "the same\n"
    assert execute(["diff", "hello.trace", "hullo.trace"]) == 1
    first, one, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("the first event that differs is line ")
    assert one.startswith("  hello.trace: ") and one.endswith('said (cause 0) {"word": "hello"}')
    assert execute(["diff", "hello.trace", "nothing"]) == 2
    assert execute(["diff", "hello.trace", "holds.toml"]) == 2


def test_diff_of_two_seeds_names_what_only_one_of_them_has_and_not_the_seeds(capsys):
    kept, broke = None, None
    for seed in range(1, 20):
        code = execute(["run", "fickle.toml", "--seed", str(seed), "--trace", f"{seed}.trace"])
        kept, broke = (seed, broke) if code == 0 else (kept, seed)
    assert kept and broke
    capsys.readouterr()
    assert execute(["diff", f"{broke}.trace", f"{kept}.trace"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "the first that only one of them has, times, messages and order aside:"
    assert lines[1].startswith(f"  {broke}.trace (seed {broke}): line ") and lines[1].endswith("one  broke")
    assert lines[2].startswith("    because of line ") and "one  node_ready" in lines[2]
    assert any(line.startswith(f"  {kept}.trace (seed {kept}): line ") for line in lines)
    assert not [line for line in lines if "run_started" in line and "because" not in line]


def test_diff_of_two_seeds_with_the_same_kinds_of_events_names_the_first_that_differs(capsys):
    for seed in ("1", "2"):
        execute(["run", "holds.toml", "--seed", seed, "--trace", f"{seed}.trace"])
    capsys.readouterr()
    assert execute(["diff", "1.trace", "2.trace"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("the first event that differs is line ") and not lines[0].endswith(" 1:")
    assert "said" in lines[1] and lines[1].startswith("  1.trace (seed 1): ")


def test_diff_does_not_count_what_a_run_is_called(folder, capsys):
    (folder / "other.toml").write_text(FILE.replace('"talk"', '"other"'))
    for name in ("holds", "other"):
        execute(["run", f"{name}.toml", "--trace", f"{name}.trace"])
    capsys.readouterr()
    assert execute(["diff", "holds.trace", "other.trace"]) == 0
    assert capsys.readouterr().out == "the same, but for what the runs were told to be: scenario\n"


def test_a_report_of_what_is_no_trace_writes_nothing(folder, capsys):
    before = sorted(folder.iterdir())
    assert execute(["report", "holds.toml"]) == 2
    assert "holds.toml: not a trace" in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_reports_that_would_overwrite_each_other_are_refused(capsys):
    assert execute(["run", "holds.toml", "fails.toml", "--report", "there"]) == 2
    assert "two of the files are called talk" in capsys.readouterr().err
    assert not Path("there").exists()


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"a":',
        '{"expectations": 3}',
        '{"expectations": [{"name": 1}]}',
        '{"expectations": [{"name": "x", "verdict": "holds", "causes": [{"line": 1}]}]}',
        '{"nodes": 5}',
        '{"warnings": 1}',
        '{"virtual_seconds": "x"}',
        '{"duration": "40s"}',
        '{"text": 5}',
        '{"settings": {"network": 5}}',
        '{"waiting": [["a", "main"]]}',
        '{"expectations": [{"name": "x", "verdict": "holds", "looked_at": ["1"]}]}',
    ],
)
def test_a_result_that_is_none_is_refused_with_its_name(folder, capsys, text):
    execute(["run", "fails.toml", "--report", "out"])
    capsys.readouterr()
    (folder / "out" / "result.json").write_text(text)
    assert execute(["report", "out"]) == 2
    assert capsys.readouterr().err.startswith("rpcnet-sim: out/result.json is no result of a run: ")


def test_a_page_of_somebody_else_is_left_alone(folder, capsys):
    (folder / "site").mkdir()
    (folder / "site" / "index.html").write_text("mine")
    assert execute(["run", "holds.toml", "--report", "site"]) == 2
    assert "the index.html in it is of no report" in capsys.readouterr().err
    assert (folder / "site" / "index.html").read_text() == "mine"


def test_an_empty_trace_is_said_to_be(folder, capsys):
    (folder / "nothing.trace").touch()
    execute(["diff", "nothing.trace", "nothing.trace"])
    assert "nothing.trace: it is empty" in capsys.readouterr().err
