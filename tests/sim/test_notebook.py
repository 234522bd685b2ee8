"""What a notebook shows: pictures, pages, data frames, names to complete; how far a long run is; in a real kernel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import sim
from tests.sim.test_api import APP, FILE

pytestmark = pytest.mark.gate

ROOT = Path(__file__).parents[2]
SOON = "import sim.notebook; sim.notebook.SHOWN_AFTER = sim.notebook.SHOWN_EVERY = 0.02"
LATE = "import sim.notebook; sim.notebook.SHOWN_AFTER = 60"
"""What is quick and what is slow depends on the machine."""
SLOW = """
    import asyncio
    for number in range(30):
        await asyncio.sleep(0.1)
        node.record("said", word=word)
        sum(range(number and 2_500_000))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "api_test_app.py").write_text(APP)
    (folder / "slow_test_app.py").write_text(APP + SLOW)
    (folder / "talk.toml").write_text(FILE)
    (folder / "slow.toml").write_text(FILE.replace("api_test_app", "slow_test_app"))
    return folder


@pytest.fixture(scope="module")
def run(folder):
    sys.path.insert(0, str(folder))
    try:
        return sim.Scenario.load(folder / "talk.toml").run()
    finally:
        sys.path.remove(str(folder))


def test_a_timeline_can_be_kept(run, tmp_path):
    picture = run.timeline()
    assert picture.save(tmp_path / "timeline.png").read_bytes() == picture._repr_png_() == run._repr_png_()


def test_a_run_writes_its_page(run, tmp_path):
    page = run.report(tmp_path / "page")
    assert page == tmp_path / "page" / "index.html" and "talk" in page.read_text()
    assert sorted(path.name for path in page.parent.iterdir()) == ["index.html", "result.json", "trace.msgpack"]


def test_a_trace_is_a_data_frame(run):
    frame = run.trace.to_pandas()
    said = frame[frame.name == "said"].iloc[0]
    assert (said.node, said.word) == ("one", "hello")
    assert list(frame.columns[:5]) == ["line", "time", "node", "name", "cause"]
    assert list(frame.line) == [event.line for event in run.trace]


def test_names_complete_before_they_are_loaded():
    code = "import sim; assert set(sim.__all__) <= set(dir(sim)), dir(sim)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.fixture(scope="module")
def kernel(folder):
    """Runs a cell; returns the texts of what it displayed, in order, and its error."""
    start_new_kernel = pytest.importorskip("jupyter_client.manager").start_new_kernel
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)])}
    manager, client = start_new_kernel(kernel_name="python3", env=environment, cwd=str(folder))

    def run(code):
        asked = client.execute(code)
        shown, error = [], None
        while True:
            message = client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != asked:
                continue
            content = message["content"]
            if message["msg_type"] in ("display_data", "update_display_data"):
                shown.append(content["data"].get("text/html", ""))
            elif message["msg_type"] == "error":
                error = "\n".join(content["traceback"])
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return shown, error

    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_a_long_run_says_below_its_cell_how_far_it_is(kernel):
    shown, error = kernel(f"{SOON}; run = sim.Scenario.load('slow.toml').run()")
    assert error is None
    *lines, last = shown
    assert len(lines) > 1 and last == "" and all("of 3 s" in line for line in lines), shown
    assert len(set(lines)) > 1


def test_a_short_run_says_nothing_and_leaves_no_thread(kernel):
    code = f"import threading; {LATE}\nsim.Scenario.load('talk.toml').run()\n"
    shown, error = kernel(code + "assert 'progress of a run' not in [t.name for t in threading.enumerate()]")
    assert (shown, error) == ([], None)


def test_a_sweep_says_how_many_runs_are_done(kernel):
    shown, error = kernel(f"{SOON}; study = sim.Scenario.load('slow.toml').sweep(seeds='1:2', jobs=1)")
    assert error is None and shown[-1] == ""
    assert any("of 2 runs" in line for line in shown)


def test_a_cell_that_awaits_a_loop_that_runs_can_run_scenarios_too(kernel):
    """The kernel's own loop runs here, as under top-level await."""
    code = f"import asyncio; {LATE}\nawait asyncio.sleep(0)\n"
    assert kernel(code + "assert sim.Scenario.load('talk.toml').run().verdict == 'holds'") == ([], None)
