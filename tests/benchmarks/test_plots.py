"""What is drawn of a run."""

import pytest

from benchmarks.swim import plots, workloads
from benchmarks.swim.rows import config_of


@pytest.fixture(scope="module")
def run():
    return workloads.phi(config_of("ours"), 1)


def test_phi_rises_from_the_crash_to_the_verdict_and_ends_there(run):
    assert 0 < run["suspected"] < run["failed"]
    silent = [phi for time, phi in zip(run["times"], run["crashed"], strict=True) if 0.05 < time < run["failed"]]
    assert silent == sorted(silent)
    assert silent[-1] > max(run["healthy"]) > 1
    assert all(phi is None for time, phi in zip(run["times"], run["crashed"], strict=True) if time > run["failed"])


def test_the_picture_of_phi_shows_both_and_the_three_moments(run):
    figure, axes = plots.plt.subplots()
    try:
        plots.phi(axes, run)
        assert [line.get_label() for line in axes.lines[:2]] == ["a healthy member", "the member that crashes"]
        assert list(axes.lines[1].get_xdata()) == run["times"]
        assert [line.get_xdata()[0] for line in axes.lines[2:]] == [0.0, run["suspected"], run["failed"]]
    finally:
        plots.plt.close(figure)
