"""When a call has to be over, from its plan and from what was seen of it.

A deadline, a cancellation and an abort are exact: they need nobody else. An idle time-out counts from the last sign of
life. A call with none of these ends once the faults are over and its work is done; that bound is generous, as it has to
hold whatever else runs and however small the windows are.
"""

import math

from rpcnet.client.call import MAX_ATTEMPTS
from tests.rpcnet.chaos.plan import SERVER, Call, Plan
from tests.rpcnet.chaos.record import Record, Seen

__all__ = ["ends_by", "handler_ends_by", "idle_timeout", "latest", "ping_seconds", "timeout"]

SLACK = 0.05
"""Seconds: turns of the loop, and timers that fire at the clock's resolution."""
LATENCIES = {"1ms": 0.001, "uniform(1ms, 8ms)": 0.008, "20ms": 0.02, "uniform(10us, 60ms)": 0.06}
STARVED = 0.1
"""Seconds for which credit may be held back (flow.credit.STARVED_INTERVAL)."""
SEND_BUFFER_BYTES = 512 * 1024
"""What may lie on a slow link when it becomes fast again."""


def timeout(plan: Plan, call: Call) -> float:
    """Seconds for the whole call; infinity where there is no limit."""
    return _seconds(call.timeout, plan.client_config.default_timeout if call.shape == "unary" else None)


def idle_timeout(plan: Plan, call: Call) -> float:
    """Seconds of silence that the call bears."""
    return _seconds(call.idle_timeout, plan.client_config.default_timeout) if call.shape != "unary" else math.inf


def _seconds(value: float | str | None, default: float | None) -> float:
    chosen = default if value == "default" else value
    return math.inf if chosen is None else max(0.0, float(chosen))


def ping_seconds(plan: Plan) -> float:
    """How long a dead connection may go unnoticed, and how long it then takes to have another one."""
    config = plan.client_config
    noticed = config.ping_interval + config.ping_timeout + config.late_timer_grace
    return noticed + 2 * config.connect_timeout + config.max_reconnect_backoff + 1.0


def healed_at(plan: Plan) -> float:
    """When no fault has any effect but on connections that are dead already."""
    if not plan.faults:
        return 0.0
    return max(
        fault.ends + (SEND_BUFFER_BYTES / fault.amount if fault.kind == "slow" else 0.0) for fault in plan.faults
    )


def ends_by(record: Record, seen: Seen) -> tuple[float, str]:
    """The time by which a call that has begun has to be over, and why."""
    plan, call, began = record.plan, seen.call, seen.began
    assert began is not None
    limits = [(_late(plan, call, began, timeout(plan, call)), "its timeout")]
    if seen.let_go_at is not None:
        limits.append((_late(plan, call, seen.let_go_at, 0.0), f"letting go ({seen.let_go})"))
    idle = idle_timeout(plan, call)
    limits.append((_late(plan, call, _heard_at(record, seen), idle), "its idle_timeout"))
    if not call.handling.waits_for_ever and limits[0][0] == math.inf:
        limits.append((max(began, healed_at(plan)) + _work_of_all(plan), "the end of all faults and its work"))
    return min(limits)


def handler_ends_by(plan: Plan, seen: Seen) -> float:
    """When the handler of a call that has ended has to be over.

    By its deadline, which the server knows by itself; and where nothing disturbs as soon as its caller lets go.
    """
    cleanup, grace = seen.call.handling.cleanup, plan.server_config.late_timer_grace
    left = timeout(plan, seen.call)
    by = math.inf
    if left < math.inf:
        stalled = plan.stalled(SERVER, seen.ran_at, seen.ran_at + left + cleanup)
        by = seen.ran_at + left + cleanup + stalled + (grace if stalled else 0.0) + SLACK
    if plan.calm and seen.ended is not None:
        # Behind a full window of the host's, CANCEL waits for the way back and forth as well.
        by = min(by, seen.ended + 3 * LATENCIES[plan.latency] + cleanup + SLACK)
    return by


def latest(plan: Plan) -> float:
    """When every call has to be over, whatever happens."""
    begun = max([healed_at(plan), *(call.at for call in plan.calls)]) + ping_seconds(plan)
    return begun + _work_of_all(plan)


def _late(plan: Plan, call: Call, start: float, seconds: float) -> float:
    """When something that is due so long after `start` was seen: later where the caller's node stood still, and where
    its caller looks only after a pause. A caller may read on what had come in time."""
    if seconds == math.inf:
        return math.inf
    reads = call.slow * (1 + len(call.handling.sends))
    stalled = plan.stalled(call.node, start, start + seconds + reads)
    return start + seconds + reads + stalled + (plan.client_config.late_timer_grace if stalled else 0.0) + SLACK


def _heard_at(record: Record, seen: Seen) -> float:
    """The latest time at which a sign of life of the server may have come.

    What the handler did arrives after the latency; where the network was disturbed meanwhile, when that is over. A
    handler that has done nothing sends nothing, but for CREDIT for the parts of its next item.
    """
    plan, call = record.plan, seen.call
    arrives = seen.server_moved
    if seen.runs:
        arrives += 2 * LATENCIES[plan.latency] + STARVED + _transfer(plan, call)
        if any(fault.at <= arrives and fault.ends >= seen.server_moved for fault in plan.faults):
            arrives = max(arrives, healed_at(plan) + ping_seconds(plan))
    waits = 0.0
    if not seen.runs:
        # One wait for a place, the next one for room to write; and again wherever the server refuses it unseen.
        waits = idle_timeout(plan, call) * (MAX_ATTEMPTS + 1 if _may_be_refused(plan) else 1)
    own = call.pause if call.shape == "upload" else 0.0  # no clock runs while the caller's items are awaited
    parts = max(_parts(plan, size) for size in (0, *call.sends)) - 1
    moved = max(seen.client_moved, seen.server_moved)
    flowing = _on_the_link(plan) if parts else 0.0
    return max(moved + own + waits + parts * _seconds_a_part(plan) + flowing, arrives)


def _may_be_refused(plan: Plan) -> bool:
    return plan.server_config.max_resets < len(plan.calls) or any(
        fault.kind in ("stop", "roll") for fault in plan.faults
    )


def _work_of_all(plan: Plan) -> float:
    """Seconds for all calls one after another, as places may be few."""
    return ping_seconds(plan) + sum(_work(plan, call) for call in plan.calls)


def _work(plan: Plan, call: Call) -> float:
    handling = call.handling
    steps = len(call.sends) * call.pause + len(handling.sends) * (handling.pause + call.slow)
    bounds = [timeout(plan, call), idle_timeout(plan, call), *_given(call.cancel_after, call.abort_after)]
    waits = min(bounds) if handling.waits_for_ever else 0.0
    return handling.before + steps + handling.cleanup + waits + _transfer(plan, call) + SLACK


def _given(*values: float | None) -> list[float]:
    return [value for value in values if value is not None]


def _transfer(plan: Plan, call: Call) -> float:
    """Seconds for the bytes of a call: each part may wait for credit; what is lost is sent again."""
    sizes = (*call.sends, *call.handling.sends)
    lost = sum(1 + size / 1448 for size in sizes) * plan.loss
    parts = sum(_parts(plan, size) for size in sizes)
    seconds = parts * _seconds_a_part(plan) + lost * 0.5 + (2.0 if plan.loss else 0.0)
    return seconds + _on_the_link(plan)


def _on_the_link(plan: Plan) -> float:
    """Seconds that everything takes which may be sent before it."""
    if plan.bandwidth is None:
        return 0.0
    return sum(sum(call.sends) + sum(call.handling.sends) for call in plan.calls) / plan.bandwidth


def _parts(plan: Plan, size: int) -> int:
    """In how many parts an item goes, at most."""
    configs = (plan.server_config, plan.client_config)
    least = min(min(config.stream_window_bytes // 4, config.part_bytes) for config in configs)
    return 1 + size // max(1, least - 64)


def _seconds_a_part(plan: Plan) -> float:
    return 2 * LATENCIES[plan.latency] + STARVED
