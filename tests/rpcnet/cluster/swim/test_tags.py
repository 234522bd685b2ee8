"""The rules for tags: what may be set, and what a change makes of a batch."""

import pytest

from rpcnet.cluster.errors import InvalidTag, TagsTooLarge
from rpcnet.cluster.swim.tags import changed, check, size


def test_a_mapping_and_pairs_are_the_same():
    assert check({"a": "1"}, deletes=False) == check([("a", "1")], deletes=False) == {"a": "1"}


@pytest.mark.parametrize(
    "pairs",
    [{"": "x"}, {"a\n": "x"}, {"a" * 129: "x"}, {1: "x"}, {"a": 1}, {"a": b"x"}, {"a": None}, ["ab1"], [("a",)]],
)
def test_what_is_no_tag_is_refused_by_name(pairs):
    with pytest.raises(InvalidTag):
        check(pairs, deletes=False)


@pytest.mark.parametrize("pairs", [None, 3])
def test_what_holds_no_pairs_is_refused(pairs):
    with pytest.raises(InvalidTag, match="mapping"):
        check(pairs, deletes=True)


def test_none_deletes_and_only_where_it_may():
    assert changed({"a": "1", "b": "2"}, check({"a": None, "c": "3"}, deletes=True)) == {"b": "2", "c": "3"}


def test_too_many_bytes_are_refused_with_the_limit():
    assert size({"a": "x" * 100}, 512) < 512
    with pytest.raises(TagsTooLarge, match=r"max_tags_bytes \(512\)"):
        size({"a": "x" * 600}, 512)


def test_text_that_is_no_unicode_is_refused():
    with pytest.raises(InvalidTag):
        size({"a": "\ud800"}, 512)
