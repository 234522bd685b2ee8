"""Deadlines: from when they are counted, and when that cannot be said."""

import math
from typing import ClassVar

import pytest

from sim.scenario.expect.timed import NeverHappened, Timed
from sim.scenario.verdict import ExpectationError


class Anything(Timed, frozen=True, kw_only=True):
    """Any fault fits."""

    KEY: ClassVar[str] = "anything"

    anything: bool = True


class Touching(Timed, frozen=True, kw_only=True):
    """A restart of the node fits; without one, a crash of it."""

    KEY: ClassVar[str] = "touching"
    SUBJECT: ClassVar[str | None] = "touching"
    FITS: ClassVar[tuple[frozenset[str], ...]] = (frozenset({"restart"}), frozenset({"crash"}))
    OF_UNDOING: ClassVar[bool] = True

    touching: str


def spans(expectation, story, node=None):
    return [(w.start, w.deadline, w.since) for w in expectation.windows(story.context(), node)]


def test_without_within_or_a_fault_it_is_the_whole_run(story):
    assert spans(Anything(), story) == [(-math.inf, 40, "")]


def test_without_within_the_one_fault_that_fits_is_counted_from(story):
    story.start("a").crash(10, "a")
    assert spans(Anything(), story) == [(10, 40, "crash")]
    assert spans(Anything(), story.pause(20, "a", 1)) == [(-math.inf, 40, "")]


def test_start_is_time_zero_and_quiet_is_when_all_is_undone(story):
    story.at(12, "", "quiet")
    assert spans(Anything(after="start", within=5.0), story) == [(0, 5, "the start")]
    assert spans(Anything(after="quiet", within=5.0), story) == [(12, 17, "it was quiet")]


def test_a_deadline_is_never_after_the_end(story):
    window = Anything(after="start", within=50.0).windows(story.context())[0]
    assert (window.deadline, window.due, window.limit) == (40, False, 50)
    window = Anything(after="start", within=30.0).windows(story.context(slack=3.0))[0]
    assert (window.deadline, window.due, window.limit) == (40, True, 90)


def test_every_strike_is_a_window_and_a_node_has_its_own(story):
    story.start("a").start("b").crash(10, "a").crash(20, "b")
    expectation = Anything(after="crash", within=5.0)
    assert spans(expectation, story) == [(10, 15, "crash"), (20, 25, "crash")]
    assert spans(expectation, story, "b") == [(20, 25, "crash")]
    assert spans(expectation, story, "elsewhere") == [(20, 25, "crash")]


def test_the_likelier_fault_is_preferred_and_its_end_counts(story):
    story.start("a").fault(10, "crash", "a", undone=15)
    expectation = Touching(touching="a", within=5.0)
    assert spans(expectation, story) == [(15, 20, "the end of crash")]
    story.fault(30, "restart", "a")
    assert spans(expectation, story) == [(30, 35, "restart")]


def test_a_fault_that_is_undone_only_at_the_end_of_the_run_counts_from_its_begin(story):
    story.start("a").fault(10, "crash", "a", undone=40)
    assert spans(Touching(touching="a", within=5.0), story) == [(10, 15, "crash")]


@pytest.mark.parametrize("after", [None, "crash", "quiet"])
def test_what_never_happened_is_said(story, after):
    with pytest.raises(NeverHappened):
        Anything(after=after, within=5.0).windows(story.context())


def test_two_that_fit_cannot_be_judged(story):
    story.start("a").crash(10, "a").pause(20, "a", 1)
    with pytest.raises(ExpectationError, match=r"2 faults fit \(crash and pause\): say after = one of crash, pause"):
        Anything(within=5.0).windows(story.context())


def test_a_name_is_checked_before_the_run(story):
    with pytest.raises(ExpectationError, match=r'"quite" is not the name of a fault; did you mean "quiet"'):
        Anything(after="quite").check((), story.select)
    for after in ("start", "quiet"):
        Anything(after=after, within=1.0).check((), story.select)


def test_the_end_of_a_fault_is_counted_from(story):
    story.start("a").start("b").fault(10, "partition", "a", "b", name="cut", undone=15)
    assert spans(Anything(after="end of cut", within=5.0), story) == [(15, 20, "the end of cut")]
    story.fault(20, "partition", "a", "b", name="cut", undone=22)
    assert spans(Anything(after="end of cut", within=5.0), story) == [
        (15, 20, "the end of cut"),
        (22, 27, "the end of cut"),
    ]


@pytest.mark.parametrize("undone", [None, 40])
def test_a_fault_that_the_run_outlasts_has_no_end(story, undone):
    story.start("a").fault(10, "crash", "a", undone=undone)
    with pytest.raises(NeverHappened, match='"crash" was not undone before the end of the run'):
        Anything(after="end of crash", within=5.0).windows(story.context())


def test_of_several_strikes_only_those_with_an_end_are_judged(story):
    story.start("a").fault(10, "crash", "a", undone=15).fault(30, "crash", "a")
    assert spans(Anything(after="end of crash"), story) == [(15, 40, "the end of crash")]


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ("end of crash", 'nothing undoes "crash" before the end of the run: give it for, or heal it'),
        ("end of ctu", 'did you mean "end of cut"?'),
        ("end of start", "is not the name of a fault"),
        ("end of", "is not the name of a fault"),
    ],
)
def test_an_end_that_never_comes_is_refused_before_a_run(story, after, words):
    story.start("a").crash(5, "a").fault(10, "partition", "a", name="cut", undone=15)
    with pytest.raises(ExpectationError) as caught:
        Anything(after=after).check(story.context().faults, story.select)
    assert words in str(caught.value)
    assert "allowed: crash, cut, end of cut, start, quiet" in str(caught.value)
