"""Each fault word does what its name says: its effect is measured, in both worlds (docs/faults.md is the table)."""

import itertools
from statistics import median
from typing import Any

from sim.backends.program import Script, World

# Real machines are late, simulated ones never: what has an upper bound has a generous one.
SOON = 0.5
NODES: dict[str, Any] = {"b": "hears", "a": {"app": "counts", "arguments": {"peer": "b"}}}


def strike(verb: str, *arguments: Any, at: float = 0.3, until: float | None = None, **settings: Any) -> Any:
    """A script that strikes once, tells the trace before and after, and heals."""

    def script(world: World) -> Script:
        yield at
        world.record("striking")
        assert getattr(world, verb)(*arguments, **settings)
        world.record("struck")
        if until is not None:
            yield until - at
            world.record("healing")
            assert world.heal(arguments[0])
        yield 60

    return script


def heard(played: Any, since: float = -10.0, until: float = 60.0) -> list[Any]:
    return [event for event in played.of("b", "heard") if since < event.time < until]


def numbers(events: list[Any]) -> list[int]:
    return [event.fields["number"] for event in events]


def gapless(events: list[Any]) -> bool:
    """None is lost, none comes twice or too soon. The first ones may have come before the other node listened."""
    found = numbers(events)
    return found == list(range(found[0], found[0] + len(found)))


def delays(played: Any, since: float, until: float = 60.0) -> list[float]:
    """Seconds between a datagram's being sent and its being heard, of those that were sent then."""
    sent = {event.fields["number"]: event.time for event in played.of("a", "counted")}
    found = [(event.time, sent[event.fields["number"]]) for event in heard(played) if event.fields["number"] >= 0]
    return [time - begun for time, begun in found if since < begun < until]


def struck(played: Any) -> float:
    return float(played.one("", "struck").time)


def test_pause_delivers_what_queued_up(stage: Any) -> None:
    played = stage.play(NODES, strike("pause", "b", 0.5), duration=1.2)
    paused, resumed = played.one("b", "node_paused").time, played.one("b", "node_resumed").time
    assert resumed - paused >= 0.49
    assert heard(played, paused + 0.05, resumed - 0.01) == []
    queued = heard(played, resumed - 0.01, resumed + SOON)
    assert len(queued) >= 15
    assert gapless(heard(played))


def test_block_makes_timers_late_and_delivers_what_queued_up(stage: Any) -> None:
    played = stage.play(NODES, strike("block", "b", 0.5), duration=1.2)
    blocked = played.one("b", "node_blocked").time
    late = [(tick.time, tick.fields["late"]) for tick in played.of("b", "tick")]
    assert max(seconds for time, seconds in late if time < blocked) < SOON
    assert max(seconds for time, seconds in late if time > blocked) >= 0.4
    assert gapless(heard(played))


def test_stop_lets_the_program_finish(stage: Any) -> None:
    played = stage.play({"a": "idle"}, strike("stop", "a"), duration=1.0)
    assert played.names("a")[2:5] == ["node_stopping", "cleaned_up", "node_exited"]
    assert played.one("a", "node_exited").fields == {"status": "cancelled"}
    assert played.one("a", "node_exited").time < 0.9


def test_a_slow_machine_takes_longer_for_each_turn_until_it_is_over(stage: Any) -> None:
    played = stage.play({"a": "works"}, strike("slow", "s", "a", 10.0, until=2.3), duration=3.0)
    begun, over = struck(played), played.one("", "healing").time
    took = [(event.time, event.fields["seconds"]) for event in played.of("a", "worked")]
    before = [seconds for time, seconds in took if time < begun]
    during = [seconds for time, seconds in took if begun + 0.2 < time < over]
    after = [seconds for time, seconds in took if time > over + 0.2]
    assert before and during and after
    assert median(during) > 2 * max(median(before), median(after)), f"{before}\n{during}\n{after}"


def test_clock_offset_moves_the_wall_clock_and_nothing_else(stage: Any) -> None:
    played = stage.play({"a": "looks_at_its_clock"}, strike("clock", "c", "a", 3.0, 0.0, until=0.8), duration=1.3)
    looks = played.of("a", "looked")
    zero = looks[0].fields["wall"] - looks[0].time

    def error(look: Any) -> float:
        return float(look.fields["wall"] - look.time - zero)

    healed = played.one("", "healing").time
    # Over sockets the clock is another one a moment before "struck" is written.
    striking = played.one("", "striking").time
    assert max(abs(error(look)) for look in looks if look.time < striking) < 0.1
    during = [error(look) for look in looks if struck(played) + 0.15 < look.time < healed]
    assert during
    assert all(abs(seconds - 3.0) < 0.1 for seconds in during)
    after = [error(look) for look in looks if look.time > healed + 0.15]
    assert after
    assert all(abs(seconds) < 0.1 for seconds in after)
    assert max(b.time - a.time for a, b in itertools.pairwise(looks)) < 0.1 + SOON


def test_clock_drift_changes_the_pace_of_timers_until_it_is_over(stage: Any) -> None:
    played = stage.play({"a": "looks_at_its_clock"}, strike("clock", "c", "a", 0.0, 1.0, until=1.3), duration=2.0)
    looks = played.of("a", "looked")
    healed = played.one("", "healing").time
    during = [look for look in looks if struck(played) + 0.15 < look.time < healed]
    passed = during[-1].time - during[0].time
    shown = during[-1].fields["loop"] - during[0].fields["loop"]
    assert 1.9 < shown / passed < 2.1
    assert len(during) - 1 > passed / 0.1 * 1.2  # a timer of 0.1 s fires after 0.05 s
    after = [look for look in looks if look.time > healed + 0.15]
    rest = (after[-1].fields["loop"] - after[0].fields["loop"]) / (after[-1].time - after[0].time)
    assert 0.95 < rest < 1.05
    assert all(b.fields["loop"] >= a.fields["loop"] for a, b in itertools.pairwise(looks))
    assert abs((after[-1].fields["wall"] - looks[0].fields["wall"]) - (after[-1].time - looks[0].time)) < 0.1


def test_slow_receive_delays_reads_in_order_and_no_timer(stage: Any) -> None:
    latency = "uniform(0.2s, 0.4s)"
    played = stage.play(NODES, strike("slow_receive", "s", "b", latency, until=1.0), duration=1.5)
    healed = played.one("", "healing").time
    assert min(delays(played, struck(played) + 0.05, healed - 0.45)) >= 0.19
    assert min(delays(played, -1, struck(played) - 0.05)) < 0.19
    assert min(delays(played, healed + 0.1)) < 0.19
    assert gapless(heard(played))
    assert median(tick.fields["late"] for tick in played.of("b", "tick")) < 0.19  # a busy machine delays a few


def test_slow_receive_delays_streams_as_well(stage: Any) -> None:
    nodes = {"b": "echo", "c": {"app": "talks", "arguments": {"peer": "b"}}}
    played = stage.play(nodes, strike("slow_receive", "s", "b", "0.3s", until=1.0), duration=1.6)
    lines = played.of("c", "line")
    assert [line.fields["number"] for line in lines] == list(range(len(lines)))
    slow = [line for line in lines if struck(played) + 0.35 < line.time < played.one("", "healing").time]
    assert slow
    assert min(line.fields["seconds"] for line in slow) >= 0.29
    assert min(line.fields["seconds"] for line in lines if line.time > 1.2) < 0.2


def test_hold_keeps_one_way_and_delivers_at_its_end(stage: Any) -> None:
    nodes = {**NODES, "c": {"app": "counts", "arguments": {"peer": "b"}}}
    played = stage.play(nodes, strike("hold", "h", "a", "b", until=0.9), duration=1.3)
    healed = played.one("", "healing").time
    sent = {event.fields["number"]: event.time for event in played.of("a", "counted")}
    kept = [number for number, time in sent.items() if struck(played) + 0.05 < time < healed - 0.05]
    assert len(kept) > 10
    address = {node: played.one(node, "node_started").fields["address"] for node in "ac"}
    of_a, of_c = ([e for e in heard(played) if e.fields["source"] == address[node]] for node in "ac")
    quiet = [e for e in of_a if struck(played) + 0.1 < e.time < healed - 0.01]
    assert quiet == []
    assert [e for e in of_c if struck(played) + 0.1 < e.time < healed - 0.01]
    arrived = {event.fields["number"]: event.time for event in of_a}
    assert all(healed - 0.01 <= arrived[number] <= healed + SOON for number in kept)
    assert gapless(of_a)


def test_hold_of_a_stream_loses_nothing_and_delivers_in_order(stage: Any) -> None:
    nodes = {"b": "echo", "c": {"app": "talks", "arguments": {"peer": "b"}}}
    played = stage.play(nodes, strike("hold", "h", "b", "c", until=0.9), duration=1.4)
    healed = played.one("", "healing").time
    lines = played.of("c", "line")
    assert [line.fields["number"] for line in lines] == list(range(len(lines)))
    assert not [line for line in lines if struck(played) + 0.1 < line.time < healed]
    assert len([line for line in lines if healed <= line.time < healed + SOON]) >= 8
    assert not played.of("c", "over")


def test_what_is_in_force_at_the_end_is_undone_and_nothing_is_left(stage: Any) -> None:
    def script(world: World) -> Script:
        yield 0.3
        world.hold("h", "a", "b")
        world.slow_receive("s", "c", "1s")
        world.clock("k", "b", -5.0, 0.5)
        yield 60

    nodes = {**NODES, "e": "echo", "c": {"app": "talks", "arguments": {"peer": "e"}}}
    played = stage.play(nodes, script, duration=0.8, grace=2.0)
    assert played.outcome.error is None
    for node in nodes:
        assert played.one(node, "node_exited").fields == {"status": "cancelled"}
        assert played.one(node, "leaks_checked").fields == {"found": 0}


def test_reset_is_found_at_both_ends(stage: Any) -> None:
    results = []

    def script(world: World) -> Script:
        yield 0.3
        results.append(world.reset("b"))
        world.record("struck")
        yield 0.5
        results.append(world.reset("lonely"))

    nodes = {"b": "echo", "lonely": "idle", "c": {"app": "talks", "arguments": {"peer": "b"}}}
    played = stage.play(nodes, script, duration=1.0)
    assert results == [True, False]
    assert played.one("c", "over").fields["how"] == "ConnectionResetError"
    assert played.one("b", "served").fields["end"] == "ConnectionResetError"
    assert struck(played) - 0.05 <= played.one("c", "over").time <= struck(played) + SOON


def test_link_latency_delays_one_way(stage: Any) -> None:
    played = stage.play(NODES, strike("link", "l", "a", "b", until=0.8, latency="200ms"), duration=1.2)
    healed = played.one("", "healing").time
    assert min(delays(played, struck(played) + 0.05, healed - 0.25)) >= 0.199
    assert min(delays(played, healed + 0.1)) < 0.199


def test_link_jitter_spreads_latency(stage: Any) -> None:
    played = stage.play(NODES, strike("link", "l", "a", "b", latency="50ms", jitter="uniform(0s, 200ms)"), duration=1.5)
    jittered = delays(played, struck(played) + 0.05, 1.2)
    assert min(jittered) >= 0.0499
    assert max(jittered) - min(jittered) > 0.1


def test_link_loss_loses_its_share(stage: Any) -> None:
    nodes = {"b": "hears", "a": {"app": "counts", "arguments": {"peer": "b", "burst": 10}}}
    played = stage.play(nodes, strike("link", "l", "a", "b", at=0.1, loss=0.5), duration=1.2)
    sent = [e.fields["number"] for e in played.of("a", "counted") if struck(played) + 0.05 < e.time < 1.0]
    share = len(set(sent) & set(numbers(heard(played)))) / len(sent)
    assert 0.3 < share < 0.7


def test_link_duplicate_doubles_its_share(stage: Any) -> None:
    nodes = {"b": "hears", "a": {"app": "counts", "arguments": {"peer": "b", "burst": 10}}}
    played = stage.play(nodes, strike("link", "l", "a", "b", at=0.1, duplicate=0.5), duration=1.2)
    sent = {e.fields["number"] for e in played.of("a", "counted") if struck(played) + 0.05 < e.time < 1.0}
    copies = [number for number in numbers(heard(played)) if number in sent]
    assert set(copies) == sent
    assert 1.3 < len(copies) / len(sent) < 1.7


def test_link_reorder_lets_later_ones_overtake(stage: Any) -> None:
    played = stage.play(NODES, strike("link", "l", "a", "b", at=0.1, latency="100ms", reorder=0.3), duration=1.5)
    during = numbers([e for e in heard(played) if e.time > struck(played) + 0.25])
    assert during != sorted(during)
    assert len(during) == len(set(during))
    before = numbers([e for e in heard(played) if e.time < struck(played)])
    assert before == sorted(before)


def test_link_corrupt_flips_bits(stage: Any) -> None:
    played = stage.play(NODES, strike("link", "l", "a", "b", corrupt=0.5), duration=1.5)
    whole = [e.fields["whole"] and e.fields["number"] >= 0 for e in heard(played, struck(played) + 0.1)]
    assert 0 < sum(whole) < len(whole)
    assert all(e.fields["whole"] for e in heard(played, until=struck(played) - 0.01))


def test_link_bandwidth_and_queue_delay_and_then_drop(stage: Any) -> None:
    """A datagram is about 130 bytes: 10 kB/s takes 77 a second of the 500 that come; 3 kB wait at most 0.3 s."""
    nodes = {"b": "hears", "a": {"app": "counts", "arguments": {"peer": "b", "burst": 10}}}
    slow = {"bandwidth": "10kB/s", "queue": "3kB"}
    played = stage.play(nodes, strike("link", "l", "a", "b", at=0.1, **slow), duration=1.6)
    since = struck(played) + 0.5
    through = heard(played, since, 1.5)
    assert 40 < len(through) / (1.5 - since) < 120
    assert min(delays(played, since, 1.2)) > 0.1
    assert max(delays(played, since, 1.2)) < 0.3 + SOON
