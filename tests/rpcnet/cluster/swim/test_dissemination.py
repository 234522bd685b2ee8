"""What rides on datagrams: how often, in which order, and what replaces what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.cluster.swim.dissemination import CROWD, Dissemination, transmissions


@pytest.mark.parametrize(("members", "expected"), [(1, 4), (9, 4), (10, 8), (99, 8), (100, 12), (999, 12)])
def test_an_update_is_sent_lambda_log_n_times(members, expected):
    assert transmissions(4, members) == expected


def texts(raws):
    return [bytes(raw) for raw in raws]


def test_an_update_goes_after_its_last_transmission():
    queue = Dissemination()
    queue.add(("state", "a"), b"12345678")
    assert [texts(queue.take(100, 3)) for _ in range(4)] == [[b"12345678"]] * 3 + [[]]
    assert len(queue.updates) == 0


def test_a_newer_update_replaces_the_older_about_the_same():
    queue = Dissemination()
    queue.add(("state", "a"), b"old.....")
    queue.take(100, 9)
    queue.add(("state", "a"), b"new.....")
    queue.add(("tags", "a"), b"tags....")
    assert sorted(texts(queue.take(100, 9))) == [b"new.....", b"tags...."]


def test_those_sent_least_go_first_and_of_these_the_newest():
    queue = Dissemination()
    for name in ("one", "two"):
        queue.add(("state", name), name.encode() * 4)
    queue.take(100, 9)
    for name in ("new", "top"):
        queue.add(("state", name), name.encode() * 4)
    assert texts(queue.take(36, 9)) == [b"top" * 4, b"new" * 4, b"two" * 4]


def test_no_more_bytes_are_taken_than_there_is_room():
    queue = Dissemination()
    for name in "abcdef":
        queue.add(("state", name), name.encode() * 10)
    assert len(queue.take(25, 9)) == 2
    assert queue.take(9, 9) == []


def test_when_the_room_is_used_up_those_sent_more_often_wait():
    queue = Dissemination()
    queue.add(("state", "old"), b"o" * 20)
    queue.take(100, 9)
    queue.add(("state", "new"), b"n" * 20)
    assert texts(queue.take(22, 9)) == [b"n" * 20]
    assert texts(queue.take(100, 9)) == [b"n" * 20, b"o" * 20]


def test_an_update_that_fits_into_no_packet_does_not_wait_for_ever():
    queue = Dissemination(largest=10)
    queue.add(("state", "a"), b"x" * 10)
    queue.add(("state", "a"), b"x" * 11)
    assert len(queue.updates) == 0, "and what it replaces is old news"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60)), max_size=40))
def test_every_update_that_is_not_replaced_is_sent_exactly_so_often(steps):
    queue = Dissemination()
    added, sent = {}, {}
    for count, (name, room) in enumerate(steps):
        update = f"{name}{count:09}".encode()
        queue.add(("state", name), update)
        added[name] = update
        for raw in texts(queue.take(room, 3)):
            sent[raw] = sent.get(raw, 0) + 1
    while len(queue.updates):
        for raw in texts(queue.take(1000, 3)):
            sent[raw] = sent.get(raw, 0) + 1
    assert max(sent.values(), default=0) <= 3
    assert all(sent[update] == 3 for update in added.values())


def filled(count, **keys):
    queue = Dissemination(**keys)
    for number in range(count):
        queue.add(("state", str(number)), f"bulk{number:06}".encode())
    return queue


def test_urgent_news_goes_before_all_other():
    queue = filled(3)
    queue.add(("state", "suspect"), b"suspicion", urgent=True)
    queue.add(("state", "last"), b"bulk-last.")
    for _ in range(2):
        assert texts(queue.take(20, 9))[0] == b"suspicion"


def test_what_may_reach_nobody_does_not_count_as_told():
    queue = filled(1)
    assert [texts(queue.take(100, None)) for _ in range(5)] == [[b"bulk000000"]] * 5
    assert texts(queue.take(100, 1)) == [b"bulk000000"]
    assert len(queue.updates) == 0


def test_a_crowd_is_told_less_often():
    queue = filled(CROWD + 1, crowded=2)
    for _ in range(2):
        queue.take(100_000, 12)
    assert len(queue.updates) == 0
    queue = filled(CROWD, crowded=2)
    for _ in range(2):
        queue.take(100_000, 12)
    assert len(queue.updates) == CROWD, "no crowd"


def test_in_a_crowd_hearing_counts_as_telling():
    queue = filled(CROWD + 2, crowded=2)
    queue.add(("state", "urgent"), b"urgent....", urgent=True)
    for key in ("0", "urgent", "unknown"):
        for _ in range(2):
            queue.heard(("state", key))
    assert ("state", "0") not in queue
    assert ("state", "urgent") in queue
    few = filled(3, crowded=2)
    for _ in range(9):
        few.heard(("state", "0"))
    assert len(few.updates) == 3


def test_the_frame_of_each_update_takes_room():
    assert len(filled(10, frame=3).take(26, 9)) == 2
    queue = Dissemination(largest=10, frame=3)
    queue.add(("state", "a"), b"x" * 8)
    assert len(queue.updates) == 0


def test_a_take_does_not_walk_a_queue_of_what_does_not_fit():
    queue = Dissemination()
    queue.add(("state", "small"), b"small!")
    for number in range(100):
        queue.add(("state", str(number)), b"x" * 90)
    assert queue.take(80, 9) == []
    assert texts(queue.take(10_000, 9))[-1] == b"small!"


def test_urgent_news_presses_until_it_is_told_once():
    queue = Dissemination()
    queue.add(("state", "a"), b"12345678")
    assert not queue.is_pressing
    queue.add(("state", "b"), b"12345678", urgent=True)
    assert queue.is_pressing
    queue.take(100, None)
    assert queue.is_pressing, "that may have reached nobody"
    queue.take(100, 3)
    assert not queue.is_pressing
