"""Many open streams, few of them active: nothing grows with time (benchmarks/rpc_idle.py has the full size)."""

from benchmarks.rpc_idle import measure


def test_a_quarter_of_an_hour_with_many_open_streams_leaves_latency_and_objects_alone() -> None:
    rows = measure(connections=5, streams=40, seconds=900)
    first, last = rows[0], rows[-1]
    assert {row["open_streams"] for row in rows} == {200}
    assert {round(row["latency_max_ms"], 6) for row in rows} == {2.0}
    assert last["objects"] <= first["objects"] + 50
