"""What rides on datagrams: how often, in which order, and what replaces what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from rpcnet.cluster.swim.dissemination import Dissemination, transmissions


@pytest.mark.parametrize(("members", "expected"), [(1, 4), (9, 4), (10, 8), (99, 8), (100, 12), (999, 12)])
def test_an_update_is_sent_lambda_log_n_times(members, expected):
    assert transmissions(4, members) == expected


def texts(raws):
    return [bytes(raw) for raw in raws]


def test_an_update_goes_after_its_last_transmission():
    queue = Dissemination()
    queue.add(("state", "a"), Raw(b"12345678"))
    assert [texts(queue.take(100, 3)) for _ in range(4)] == [[b"12345678"]] * 3 + [[]]
    assert len(queue) == 0


def test_a_newer_update_replaces_the_older_about_the_same():
    queue = Dissemination()
    queue.add(("state", "a"), Raw(b"old....."))
    queue.take(100, 9)
    queue.add(("state", "a"), Raw(b"new....."))
    queue.add(("tags", "a"), Raw(b"tags...."))
    assert sorted(texts(queue.take(100, 9))) == [b"new.....", b"tags...."]


def test_those_sent_least_go_first_and_of_these_the_newest():
    queue = Dissemination()
    for name in ("one", "two"):
        queue.add(("state", name), Raw(name.encode() * 4))
    queue.take(100, 9)
    for name in ("new", "top"):
        queue.add(("state", name), Raw(name.encode() * 4))
    assert texts(queue.take(36, 9)) == [b"top" * 4, b"new" * 4, b"two" * 4]


def test_no_more_bytes_are_taken_than_there_is_room():
    queue = Dissemination()
    for name in "abcdef":
        queue.add(("state", name), Raw(name.encode() * 10))
    assert len(queue.take(25, 9)) == 2
    assert queue.take(9, 9) == []


def test_when_the_room_is_used_up_those_sent_more_often_wait():
    queue = Dissemination()
    queue.add(("state", "old"), Raw(b"o" * 20))
    queue.take(100, 9)
    queue.add(("state", "new"), Raw(b"n" * 20))
    assert texts(queue.take(22, 9)) == [b"n" * 20]
    assert texts(queue.take(100, 9)) == [b"n" * 20, b"o" * 20]


def test_an_update_that_fits_into_no_packet_does_not_wait_for_ever():
    queue = Dissemination(largest=10)
    queue.add(("state", "a"), Raw(b"x" * 10))
    queue.add(("state", "a"), Raw(b"x" * 11))
    assert len(queue) == 0, "and what it replaces is old news"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60)), max_size=40))
def test_every_update_that_is_not_replaced_is_sent_exactly_so_often(steps):
    queue = Dissemination()
    added, sent = {}, {}
    for count, (name, room) in enumerate(steps):
        update = f"{name}{count:09}".encode()
        queue.add(("state", name), Raw(update))
        added[name] = update
        for raw in texts(queue.take(room, 3)):
            sent[raw] = sent.get(raw, 0) + 1
    while len(queue):
        for raw in texts(queue.take(1000, 3)):
            sent[raw] = sent.get(raw, 0) + 1
    assert max(sent.values(), default=0) <= 3
    assert all(sent[update] == 3 for update in added.values())
