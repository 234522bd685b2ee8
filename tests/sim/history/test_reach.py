"""Reach: who could hear whom, and until when."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sim.history.reach import merge_spans


def reach(story):
    return story.context().history.reach


def test_a_partition_parts_its_groups_for_its_time(story):
    story.start("a").start("b").start("c").start("d").partition(10, ["a", "b"], ["c"], undone=20)
    assert reach(story).apart("a", "c") == reach(story).apart("c", "b") == [(10, 20)]
    assert reach(story).apart("a", "b") == reach(story).apart("a", "d") == reach(story).apart("d", "c") == []
    assert [reach(story).reachable("a", "c", time) for time in (9.9, 10, 19.9, 20)] == [True, False, False, True]


def test_a_partition_that_is_never_healed_lasts(story):
    assert reach(story.partition(10, ["a"], ["b"])).apart("a", "b") == [(10, math.inf)]


def test_cut_one_way_only_what_the_first_group_says_is_lost_and_that_is_enough(story):
    story.partition(10, ["a"], ["b"], ["c"], undone=20, one_way=True)
    assert reach(story).apart("a", "b") == reach(story).apart("a", "c") == [(10, 20)]
    assert reach(story).apart("b", "c") == []


def test_cuts_that_overlap_are_one(story):
    story.partition(10, ["a"], ["b"], undone=20).fault(15, "isolate", "b", undone=30)
    story.fault(40, "link", "a", "b", undone=50, pairs=[["b", "a"]], loss=1.0)
    assert reach(story).apart("a", "b") == [(10, 30), (40, 50)]


def test_a_link_that_can_be_gone_round_parts_nobody_but_those_who_have_no_way_left(story):
    story.fault(10, "link", "a", "b", name="round", undone=20, pairs=[["a", "b"]], loss=1.0, cut=[])
    story.fault(30, "link", "a", "b", undone=40, pairs=[["a", "b"]], loss=1.0, cut=[["a", "b"], ["a", "c"]])
    assert reach(story).apart("a", "b") == reach(story).apart("a", "c") == [(30, 40)]


def test_a_lossy_or_slow_link_is_no_cut(story):
    story.fault(10, "link", "a", "b", pairs=[["a", "b"]], loss=0.99).fault(
        10, "link", "a", "b", name="slow", pairs=[["a", "b"]], latency="1s"
    )
    assert reach(story).apart("a", "b") == []


def test_a_hold_parts_those_whose_packets_are_kept(story):
    story.fault(10, "hold", "a", "b", undone=20, pairs=[["b", "a"]])
    assert reach(story).apart("a", "b") == [(10, 20)]
    assert reach(story).apart("a", "c") == []


def test_a_late_reader_is_out_of_reach_where_it_reads_later_than_a_node_may_stall(story):
    story.start("a").start("b").fault(10, "slow_receive", "a", undone=20, latency="uniform(0.5s, 2.5s)")
    story.fault(30, "slow_receive", "a", name="slower", undone=40, latency="uniform(2s, 5s)")
    assert reach(story).apart("a", "b") == [(30, 40)]


def test_a_link_that_takes_longer_than_a_node_may_stall_parts_its_ends(story):
    for time, latency in ((10, "2s"), (30, "uniform(2s, 5s)")):
        name = f"link {latency}"
        story.fault(time, "link", "a", "b", name=name, undone=time + 10, pairs=[["a", "b"]], latency=latency)
    story.fault(50, "link", "a", "b", name="jitter", undone=60, pairs=[["b", "a"]], jitter="4s")
    assert reach(story).apart("a", "b") == [(30, 40), (50, 60)]


def test_only_long_stalls_take_a_node_out_of_reach(story):
    story.start("a").start("b").pause(10, "a", 3.0).pause(20, "a", 3.5)
    assert reach(story).apart("a", "b") == [(20, 23.5)]


class TestLastReachable:
    @staticmethod
    def last(story, time):
        history = story.context().history
        return history.reach.last_reachable("a", history.run_of("b", 1), time)

    def test_it_is_now_where_nothing_is_between(self, story):
        assert self.last(story.cluster("a", "b"), 12) == 12

    def test_it_is_the_death_of_the_member(self, story):
        assert self.last(story.cluster("a", "b").crash(10, "b"), 12) == 10

    def test_it_is_the_begin_of_the_cut(self, story):
        assert self.last(story.cluster("a", "b").partition(10, ["a"], ["b"], undone=30), 25) == 10

    def test_a_death_behind_a_cut_was_last_reachable_before_the_cut(self, story):
        story.cluster("a", "b").partition(10, ["a"], ["b"], undone=30).crash(20, "b")
        assert self.last(story, 25) == 10

    def test_after_a_long_cut_it_takes_a_moment_after_a_short_one_it_does_not(self, story):
        story.cluster("a", "b").partition(10, ["a"], ["b"], undone=12)
        assert self.last(story, 12.1) == 12.1
        story.partition(20, ["a"], ["b"], undone=30)
        assert [self.last(story, time) for time in (30.1, 32.9, 33)] == [20, 20, 33]

    def test_a_member_that_started_behind_a_cut_was_never_reachable(self, story):
        story.partition(-5, ["a"], ["b"], undone=30).cluster("a", "b")
        assert self.last(story, 25) == -math.inf


SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 5)).map(lambda s: (float(s[0]), float(s[0] + s[1]))))


@given(SPANS)
def test_merged_spans_hold_the_same_moments_in_order_and_apart(spans):
    merged = merge_spans(spans)
    for moment in range(50):
        time = moment / 2
        assert any(a <= time < b for a, b in merged) == any(a <= time < b for a, b in spans)
    assert all(one[1] < other[0] for one, other in pairwise(merged))
