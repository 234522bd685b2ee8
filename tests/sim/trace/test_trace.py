import io
import json
import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.trace import Trace, TraceError, export, merge, read
from sim.trace.reader import torn_end

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    events=st.lists(st.tuples(st.floats(0, 1e6), st.sampled_from("abc"), st.sampled_from("xyz"), VALUES), max_size=40)
)
def test_what_is_written_is_read(events):
    with Trace() as trace:
        for time, node, name, value in events:
            trace.record(time, node, name, 0, value=value)
        found = [(e.time, e.node, e.name, e.fields["value"]) for e in trace.events()]
    assert found == [(time, node, name, _tuples(value)) for time, node, name, value in events]


def _tuples(value):
    """Readers get arrays as tuples."""
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value


def test_time_is_counted_from_the_zero_event():
    with Trace() as trace:
        trace.record(2.0, "a", "early")
        trace.record(2.5, "", "zero")
        trace.record(4.0, "a", "late")
        assert [(e.name, e.time) for e in trace.events()] == [("early", -0.5), ("zero", 0.0), ("late", 1.5)]


def test_lines_count_events_alone_and_causes_name_them(tmp_path):
    with Trace(tmp_path / "t", batch=2) as trace:
        first = trace.record(0.0, "a", "sent", 0, to="b")
        assert trace.record(0.1, "b", "received", first) == 2
    events = list(read(tmp_path / "t"))
    assert [(e.line, e.cause) for e in events] == [(1, 0), (2, 1)]


def test_a_trace_can_be_read_while_it_is_written():
    with Trace() as trace:
        for i in range(10):
            trace.record(i, "a", "tick", 0, i=i)
            assert [e.fields["i"] for e in trace.events()] == list(range(i + 1))


def test_a_field_that_is_changed_afterwards_keeps_its_value():
    tags = {"a": 1}
    with Trace() as trace:
        trace.record(0.0, "a", "tags", 0, tags=tags)
        tags["a"] = 2
        assert next(trace.events()).fields["tags"] == {"a": 1}


def test_a_value_that_cannot_be_held_is_refused_at_once():
    with Trace() as trace, pytest.raises(TypeError):
        trace.record(0.0, "a", "odd", 0, value=object())


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (10**30, "1" + "0" * 30),
        (-(2**63) - 1, str(-(2**63) - 1)),
        ("a file \udcff", "a file \\udcff"),
        ([1, {"\ud800": [2**64]}], (1, {"\\ud800": ("18446744073709551616",)})),
        ({(1, 2): 2**70}, {(1, 2): str(2**70)}),
    ],
)
def test_what_messagepack_has_no_room_for_is_written_as_text_and_ends_no_run(value, read):
    with Trace() as trace:
        trace.record(0.0, "a", "before", fine=1)
        trace.record(0.0, "a", "x", value=value)
        trace.record(0.0, "a", "after", fine=2)
        assert [list(event.fields.values()) for event in trace.events()] == [[1], [read], [2]]
        export(trace.events(), io.StringIO())


def test_names_of_events_and_fields_are_texts_like_any_other():
    with Trace() as trace:
        trace.record(0.0, "\udcfe", "\udcff", 0, **{"\ud800": 1})
        assert [(e.node, e.name, e.fields) for e in trace.events()] == [("\\udcfe", "\\udcff", {"\\ud800": 1})]


def test_a_trace_cut_at_any_byte_gives_a_beginning_of_its_events(tmp_path):
    path = tmp_path / "t"
    with Trace(path, batch=1) as trace:
        for i in range(20):
            trace.record(i, "a", "tick", 0, i=i, text="x" * i)
    data, whole = path.read_bytes(), list(read(path))
    shorter = tmp_path / "cut"
    for size in range(16, len(data)):
        shorter.write_bytes(data[:size])
        found = list(read(shorter))
        assert found == whole[: len(found)]


def test_another_file_is_refused(tmp_path):
    (tmp_path / "t").write_bytes(msgspec.msgpack.encode(["something else", 1]))
    with pytest.raises(TraceError, match="not a trace"):
        list(read(tmp_path / "t"))


def test_digest_follows_every_event():
    digests = set()
    for value in (1, 2, 2):
        with Trace() as trace:
            trace.record(0.0, "a", "tick", 0, value=value)
            digests.add(trace.digest())
    assert len(digests) == 2


def test_what_is_appended_is_written_by_a_flush_and_counted_at_once(tmp_path):
    with Trace(tmp_path / "t", batch=2) as trace:
        shape, node = trace.shape("tick", "i"), trace.node("a")
        for i in range(5):
            assert trace.next_line() == i + 1
            trace.append((shape, float(i), node, 0, i))
            assert trace.lines == i + 1
        assert (tmp_path / "t").stat().st_size == 0
        trace.relieve()
        assert (tmp_path / "t").stat().st_size > 0
        trace.relieve()
        assert trace.record(5.0, "b", "tock", 5) == 6
        assert trace.lines == 6
    assert [(e.line, e.name, e.fields) for e in read(tmp_path / "t")] == [
        *((i + 1, "tick", {"i": i}) for i in range(5)),
        (6, "tock", {}),
    ]


def test_batches_change_neither_bytes_nor_digest(tmp_path):
    found = set()
    for batch in (1, 3, 1024, 100_000):
        with Trace(tmp_path / str(batch), batch=batch) as trace:
            for i in range(70_000 if batch > 1024 else 100):
                trace.record(i, "ab"[i % 2], "tick", 0, i=i)
                if i == 99:
                    found.add(trace.digest())
    assert len(found) == 1
    assert sum(1 for _ in read(tmp_path / "100000")) == 70_000


def test_files_of_several_processes_are_merged_by_time(tmp_path):
    random.seed(1)
    for name in "ab":
        with Trace(tmp_path / name, batch=1) as trace:
            for i in range(50):
                trace.record(100 + i + random.random(), name, "tick", 0, i=i)
    with Trace(tmp_path / "all") as out:
        merge([tmp_path / "a", tmp_path / "b"], out)
    times = [e.time for e in read(tmp_path / "all")]
    assert times == sorted(times)
    assert len(times) == 100


def test_export_is_one_json_object_a_line():
    with Trace() as trace:
        trace.record(0.5, "a", "odd", 3, data=b"\xff\x00", text="ü")
        out = io.StringIO()
        export(trace.events(), out)
    row = json.loads(out.getvalue())
    assert (row["line"], row["time"], row["node"], row["event"], row["cause"]) == (1, 0.5, "a", "odd", 3)
    assert row["fields"]["text"] == "ü"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_export_writes_what_json_does_not_know_as_null_and_keys_as_text():
    out = io.StringIO()
    with Trace() as trace:
        trace.record(0.0, "a", "odd", rates=[float("nan"), 1.5], by={(1, 2): float("inf"), 3: 4})
        export(trace.events(), out)
    assert json.loads(out.getvalue(), parse_constant=pytest.fail)["fields"] == {
        "rates": [None, 1.5],
        "by": {"(1, 2)": None, "3": 4},
    }


def test_a_full_disk_is_an_error_where_it_happens():
    trace = Trace("/dev/full")
    trace.record(0, "a", "tick")
    with pytest.raises(OSError, match="No space left"):
        trace.flush()


def test_an_end_that_is_torn_is_told_wherever_it_is_cut(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    with Trace(whole) as trace:
        for number in range(20):
            trace.record(number / 2, "n", "said", 0, text="x" * number)
    data = whole.read_bytes()
    assert torn_end(whole) is None
    ends = 0
    for size in range(len(data)):
        cut.write_bytes(data[:size])
        events = list(read(cut))
        torn = torn_end(cut)
        if torn is None:
            ends += 1
        else:
            assert torn == (len(events), events[-1].time if events else 0.0)
    # Between two records it cannot be known: 20 events, the three records before them, and the empty file.
    assert ends == 23
