"""The `rpcnet-sim` command: what it prints where, and its exit codes."""

import errno
import fcntl
import fnmatch
import json
import os
import pty
import resource
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from sim.cli import execute
from sim.commands import WORST_FIRST, worst
from sim.trace import read

ROOT = Path(__file__).parents[2]

APP = """
import asyncio
from pathlib import Path


async def main(node, *, word: str = "hello") -> None:
    node.ready()
    while True:
        await asyncio.sleep(0.5 * node.random.random())
        node.record("said", word=word)


async def tells(node) -> None:
    node.ready()
    Path("started").touch()
    while True:
        await asyncio.sleep(0.001)


async def tells_much(node) -> None:
    node.ready()
    for number in range(2000):
        await asyncio.sleep(0.001)
        node.record("said", word=str(number) * 100)


async def raises(node) -> None:
    node.ready()
    raise ValueError("the disk is on fire")


class Deaf:
    def __del__(self):
        raise KeyboardInterrupt  # as Ctrl-C does that is pressed meanwhile


async def drops(node) -> None:
    node.ready()
    Deaf()


async def unsteady(node) -> None:
    node.ready()
    for word in {"one", "two", "three", "four", "five", "six", "seven"}:
        node.record("said", word=word)


async def fickle(node) -> None:
    node.ready()
    await asyncio.sleep(1)
    node.record("kept" if node.random.random() < 0.5 else "broke")


def never(trace):
    from sim.scenario import Verdict
    return Verdict.INCONCLUSIVE
"""

FILE = """\
name = "talk"
summary = "Does everybody speak?"
duration = "3s"
seed = 7

[[node]]
name = "one"
app = "cli_test_app:main"

[[expect]]
logged = "hello"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A working directory with an application and scenarios of every outcome."""
    (tmp_path / "cli_test_app.py").write_text(APP)
    (tmp_path / "holds.toml").write_text(FILE)
    (tmp_path / "fails.toml").write_text(FILE.replace("hello", "good-bye"))
    (tmp_path / "raises.toml").write_text(FILE.replace(":main", ":raises"))
    (tmp_path / "unsure.toml").write_text(FILE.replace('logged = "hello"', 'python = "cli_test_app:never"'))
    (tmp_path / "fickle.toml").write_text(
        FILE.replace(":main", ":fickle").replace('logged = "hello"', 'logged = "broke"\nmax_count = 0')
    )
    (tmp_path / "wrong.toml").write_text(FILE.replace("duration", "duratoin"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("cli_test_app", None)


@pytest.mark.parametrize(
    ("files", "code"),
    [
        (["holds.toml"], 0),
        (["fails.toml"], 1),
        (["raises.toml"], 1),
        (["wrong.toml"], 2),
        (["missing.toml"], 2),
        (["unsure.toml"], 4),
        (["holds.toml", "unsure.toml"], 4),
        (["unsure.toml", "fails.toml", "holds.toml"], 1),
        (["fails.toml", "wrong.toml", "holds.toml"], 2),
    ],
)
def test_exit_code_says_how_it_came_out(files, code):
    assert execute(["run", *files]) == code


def test_of_several_codes_the_worst_counts():
    assert WORST_FIRST == (130, 3, 2, 1, 4, 0)
    assert worst([0, 4, 1, 2, 3, 130]) == 130
    assert worst([]) == 0


def test_a_run_is_told_on_stdout(capsys):
    execute(["run", "holds.toml"])
    out, err = capsys.readouterr()
    assert "talk  seed 7  sim" in out
    assert "✓ logged hello" in out
    assert "✓ holds" in out and "digest " in out
    assert err == ""


def test_a_failure_names_what_was_seen_and_the_command_that_runs_it_again(capsys):
    execute(["run", "fails.toml", "--set", "duration=2s"])
    out, _ = capsys.readouterr()
    assert "✗ logged good-bye" in out
    assert "run it again: rpcnet-sim run fails.toml --seed 7 --set duration=2s" in out


def test_an_application_that_raises_is_told_with_its_traceback(capsys):
    execute(["run", "raises.toml"])
    out, _ = capsys.readouterr()
    assert "one" in out and "ValueError: the disk is on fire" in out and "Traceback" in out


def test_files_in_order_run_although_another_one_is_wrong(capsys):
    assert execute(["run", "wrong.toml", "holds.toml"]) == 2
    out, err = capsys.readouterr()
    assert "✓ holds" in out
    assert 'wrong.toml:3:1: unknown key "duratoin"; did you mean "duration"' in err


def test_json_is_one_object_a_run_one_a_line(capsys):
    execute(["run", "holds.toml", "fails.toml", "--seeds", "1:2", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["seed"], row["verdict"]) for row in rows] == [(1, "holds"), (2, "holds"), (1, "fails"), (2, "fails")]
    assert rows[0]["expectations"][0]["line"] == 10


def test_seeds_are_summed_up_and_failures_shown(capsys):
    assert execute(["run", "holds.toml", "--seeds", "1:3"]) == 0
    assert "talk  3 seeds: 3 hold" in capsys.readouterr().out
    assert execute(["run", "fails.toml", "--seeds", "1:2"]) == 1
    out, _ = capsys.readouterr()
    assert out.count("run it again") == 2 and "2 seeds: 2 fail" in out and "(seeds 1, 2)" in out


def test_a_failure_is_told_with_what_led_to_it(capsys):
    execute(["run", "fickle.toml", "--seeds", "1:10", "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["verdict"] for row in rows} == {"holds", "fails"}
    for row in rows:
        causes = row["expectations"][0].get("causes", [])
        assert [one["event"] for one in causes] == (
            ["node_started", "node_ready", "broke"] * (row["verdict"] == "fails")
        )
    seed = next(row["seed"] for row in rows if row["verdict"] == "fails")
    assert execute(["run", "fickle.toml", "--seed", str(seed)]) == 1
    out, _ = capsys.readouterr()
    told = [line.split()[-1] for line in out.partition("what led to trace line ")[2].splitlines()[2:4]]
    assert told == ["node_ready", "broke"]
    assert f"run it again: rpcnet-sim run fickle.toml --seed {seed}" in out


def test_an_application_that_raises_is_told_with_what_led_to_it(capsys):
    execute(["run", "raises.toml"])
    assert "one  node_failed error='ValueError: the disk is on fire'" in capsys.readouterr().out


def test_of_many_seeds_the_first_that_fails_is_compared_with_the_nearest_that_holds(capsys):
    execute(["run", "fickle.toml", "--seeds", "1:10"])
    out, _ = capsys.readouterr()
    told = out.partition("the first that only one of them has:")[2].splitlines()
    assert told[1].endswith("one  broke") and told[2].endswith("one  kept")
    execute(["run", "holds.toml", "fails.toml", "--seeds", "1:2"])
    assert "only one of them" not in capsys.readouterr().out


def test_same_seed_same_digest_other_seed_other_digest(capsys):
    digests = []
    for seed in ("7", "7", "8"):
        execute(["run", "holds.toml", "--json", "--seed", seed])
        digests.append(json.loads(capsys.readouterr().out)["digest"])
    assert digests[0] == digests[1] != digests[2]


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


def test_a_trace_that_is_cut_in_the_midst_of_a_record_is_said_to_be(folder, capsys):
    execute(["run", "holds.toml", "--trace", "whole.trace"])
    events = list(read("whole.trace"))
    Path("cut.trace").write_bytes(Path("whole.trace").read_bytes()[:-4])
    said = f"the trace ends in the midst of a record (* bytes of it are there); read were the {len(events) - 1} events "
    said += f"before, up to {events[-2].time:.3f} s"
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


def test_check_reads_and_runs_nothing(capsys):
    assert execute(["check", "holds.toml"]) == 0
    assert execute(["check", "holds.toml", "wrong.toml"]) == 2
    out, err = capsys.readouterr()
    assert "holds.toml: talk is in order" in out and "wrong.toml:3:1" in err


def test_list_names_scenarios_and_defects(folder, capsys):
    (folder / "scenarios").mkdir()
    (folder / "scenarios" / "talk.toml").write_text(FILE)
    assert execute(["list"]) == 0
    out, _ = capsys.readouterr()
    assert "scenarios/talk.toml" in out and "Does everybody speak?" in out and "no_idle_timeout" in out


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["run"], "name at least one scenario file"),
        (["run", "holds.toml", "--sed", "3"], "Did you mean --seed"),
        (["rnu"], 'Did you mean "run"'),
        (["run", "holds.toml", "--backend", "sokets"], 'Did you mean "sockets"'),
        (["run", "holds.toml", "--seed", "x"], "unable to convert"),
        (["run", "holds.toml", "--seeds", "3:1"], "is empty"),
        (["run", "holds.toml", "--seeds", "a:b"], "write it as A:B"),
        (["run", "holds.toml", "--seed", "9" * 20], "a seed is between -2**63 and 2**63 - 1"),
        (["run", "holds.toml", "--seeds", "1:" + "9" * 20], "a seed is between -2**63 and 2**63 - 1"),
        (["run", "holds.toml", "--set", "seed=" + "9" * 20], "a seed is between -2**63 and 2**63 - 1"),
        (["run", "holds.toml", "--seeds", f"{-(2**63)}:{2**63 - 1}"], "are too many"),
        (["sweep"], '"sweep" parameter FILE requires an argument'),
        (["run", "holds.toml", "--seed", "1", "--seeds", "1:2"], "not both"),
        (["run", "holds.toml", "--slack", "0"], "--slack must be above 0"),
        (["run", "holds.toml", "--defect", "no_idle_timeot"], 'did you mean "no_idle_timeout"'),
        (["run", "holds.toml", "--set", "node.two.count=2"], 'there is no node "two"'),
        (["run", "holds.toml", "--trace", "."], "--trace .: Is a directory"),
        (["report", "nothing"], "no such trace"),
        (["check"], "name at least one scenario file"),
    ],
)
def test_wrong_usage_is_exit_code_2_with_one_line_and_no_traceback(tokens, words, capsys):
    assert execute(tokens) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert out == "" and "Traceback" not in err and err.count("\n") == 1


def test_a_report_of_what_is_no_trace_writes_nothing(folder, capsys):
    before = sorted(folder.iterdir())
    assert execute(["report", "holds.toml"]) == 2
    assert "holds.toml: not a trace" in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_reports_that_would_overwrite_each_other_are_refused(capsys):
    assert execute(["run", "holds.toml", "fails.toml", "--report", "there"]) == 2
    assert "two of the files are called talk" in capsys.readouterr().err
    assert not Path("there").exists()


def test_without_a_command_the_help_is_shown(capsys):
    assert execute([]) == 2
    assert "check-determinism" in capsys.readouterr().out
    assert execute(["--help"]) == 0


def test_an_error_of_our_own_is_exit_code_3(monkeypatch, capsys):
    monkeypatch.setattr("sim.say.run", lambda *_: 1 / 0)
    assert execute(["run", "holds.toml"]) == 3
    assert "internal error" in capsys.readouterr().err


def command(*words, **environment):
    return {
        "args": [sys.executable, "-m", "sim.cli", *words],
        "env": os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | environment,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }


@pytest.mark.gate
def test_digest_does_not_depend_on_the_process_or_its_hash_seed():
    digests = {
        json.loads(subprocess.run(**command("run", "holds.toml", "--json", PYTHONHASHSEED=h), check=True).stdout)[
            "digest"
        ]
        for h in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.gate
def test_check_determinism_holds_and_names_the_event_that_differs(folder, capfd):
    (folder / "unsteady.toml").write_text(FILE.replace(":main", ":unsteady").replace("hello", "one"))
    assert execute(["check-determinism", "holds.toml", "--seeds", "1:2"]) == 0
    assert capfd.readouterr().out.count("the same twice") == 2
    assert execute(["check-determinism", "unsteady.toml"]) == 1
    out, _ = capfd.readouterr()
    assert "two runs differ" in out and "one run: " in out and "said" in out
    assert "because of line " in out and "probably escaped: " in out


@pytest.mark.gate
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize("backend", ["sim", "sockets"])
def test_interrupt_ends_with_130_and_leaves_no_process(folder, backend):
    started, marker = folder / "started", f"CLI_TEST={folder}"
    (folder / "long.toml").write_text(FILE.replace('"3s"', '"1h"').replace(":main", ":tells"))
    words = ["run", "long.toml", "--backend", backend, "--trace", "x.trace"]
    with subprocess.Popen(**command(*words, CLI_TEST=str(folder)), start_new_session=True) as process:
        while process.poll() is None and not started.exists():
            time.sleep(0.02)
        assert len(_with_environment(marker)) == (1 if backend == "sim" else 2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert _with_environment(marker) == []


def test_an_interrupt_that_python_drops_in_the_only_run_is_noticed_after_it(folder, capsys):
    (folder / "drops.toml").write_text(FILE.replace(":main", ":drops"))
    assert execute(["run", "drops.toml"]) == 130
    assert capsys.readouterr().err.endswith("rpcnet-sim: interrupted\n")


@pytest.mark.gate
def test_an_interrupted_check_keeps_what_it_found_and_says_so():
    with subprocess.Popen(
        **command("check-determinism", "holds.toml", "--seeds", "1:100000"), start_new_session=True
    ) as process:
        first = process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert "holds.toml seed 1: the same twice" in first
    assert (process.returncode, err) == (130, "rpcnet-sim: interrupted\n")


def _with_environment(marker):
    """Processes that were started by a test, whatever session they are in."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if marker.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(folder.name)
        except OSError:
            continue
    return found


@pytest.mark.gate
def test_a_terminal_without_a_check_mark_is_no_error():
    done = subprocess.run(**command("run", "holds.toml", PYTHONIOENCODING="ascii"), check=True)
    assert "\\u2713 holds" in done.stdout


@pytest.mark.gate
def test_no_color_is_honoured_and_output_can_be_cut_short():
    done = subprocess.run(**command("run", "holds.toml", NO_COLOR="1", FORCE_COLOR="1"), check=True)
    assert "\x1b[3" not in done.stdout
    process = subprocess.Popen(**command("run", "holds.toml", "--json"))
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def on_a_terminal(*words, **streams):
    """Run a command whose stderr is a terminal; returns what it said there, and what came through a pipe."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 200, 0, 0))
    order = command(*words, TERM="xterm") | {"stderr": theirs, "text": False}
    order |= dict.fromkeys(streams, theirs)
    said = b""
    with subprocess.Popen(**order) as process:
        os.close(theirs)
        try:
            while more := os.read(ours, 65536):
                said += more
        except OSError:
            pass  # EIO: the other end is closed
        finally:
            os.close(ours)
        piped = process.stdout.read() if process.stdout else b""
    return process.returncode, said.decode(), piped.decode()


@pytest.mark.gate
@pytest.mark.parametrize("seeds", [[], ["--seeds", "1:3"]])
def test_data_goes_to_a_pipe_also_where_a_bar_is_on_the_terminal(seeds):
    code, said, piped = on_a_terminal("run", "holds.toml", "--json", *seeds)
    assert code == 0
    assert "talk (sim)" in said and '"verdict"' not in said
    assert [json.loads(line)["verdict"] for line in piped.splitlines()] == ["holds"] * (3 if seeds else 1)


@pytest.mark.gate
@pytest.mark.parametrize("words", [["fails.toml", "--seeds", "1:3"], ["holds.toml"], ["holds.toml", "--json"]])
def test_data_on_a_terminal_does_not_stand_in_one_line_with_the_bar(words):
    _, said, _ = on_a_terminal("run", *words, stdout=True)
    assert "talk (sim)" in said
    shown = [line.rpartition("\x1b[2K")[2] for line in said.splitlines()]
    assert not [line for line in shown if "talk (sim)" in line and ("seed" in line or "verdict" in line)]


@pytest.mark.gate
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["list"], 0),
        (["run", "holds.toml"], 0),
        (["run", "fails.toml"], 1),
        (["--help"], 0),
        (["run", "--help"], 0),
        (["--version"], 0),
        ([], 2),
    ],
)
def test_output_that_is_cut_short_changes_no_exit_code(words, code):
    with subprocess.Popen(**command(*words)) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has /dev/full")
def test_a_full_disk_under_the_trace_ends_the_run_in_one_line(capsys):
    assert execute(["run", "holds.toml", "--trace", "/dev/full"]) == 3
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1
    assert "No space left on device: the trace /dev/full cannot be written on; free some space" in err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("run", "the trace, a temporary file in {folder}, cannot be written; free some space, or write it elsewhere"),
        ("check-determinism", "the traces of two runs, in {folder}/"),
    ],
)
def test_temporary_files_that_find_no_room_are_one_line_and_gone(command, words, folder):
    """With the limit on the size of a file in the place of a full disk."""
    (folder / "much.toml").write_text(FILE.replace(":main", ":tells_much"))
    (folder / "temporary").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "sim.cli", command, "much.toml"],
        env=os.environ | {"TMPDIR": str(folder / "temporary"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1), done.stderr
    assert "File too large: " + words.format(folder=folder / "temporary") in done.stderr
    assert list((folder / "temporary").iterdir()) == []


def test_a_full_disk_under_the_page_of_a_report_names_the_directory(monkeypatch, capsys):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("sim.report.write_report", full)
    assert execute(["run", "holds.toml", "--report", "here"]) == 3
    assert "rpcnet-sim: here: No space left on device: the page cannot be written; free" in capsys.readouterr().err
