"""A batch of tags is taken in key by key: in between, a reader holds, and tells its watchers, half of it.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from unittest.mock import patch

from msgspec.structs import replace

from rpcnet.cluster.swim.event import TagsChanged
from rpcnet.cluster.swim.member import Entry
from rpcnet.cluster.swim.table import Table

__all__ = ["torn_tags"]


@contextmanager
def torn_tags() -> Iterator[None]:
    merge = Table._merge_tags

    def key_by_key(table: Table, entry: Entry, version: int, tags: Mapping[str, str], spread: bool) -> None:
        if version > entry.version and entry.is_up:
            held = entry.version
            for key, value in tags.items():
                entry.record = replace(entry.record, version=version, tags={**entry.tags, key: value})
                table._changed(entry)
                table._emit(TagsChanged(entry.view()))
            entry.record = replace(entry.record, version=held)
        merge(table, entry, version, tags, spread)

    with patch.object(Table, "_merge_tags", key_by_key):
        yield
