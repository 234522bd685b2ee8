"""Tells of a failure: what the plan was, what was expected, what happened, and the command that plays it again."""

import re
from collections.abc import Iterator

from tests.rpcnet.chaos.plan import Plan
from tests.rpcnet.chaos.play import play
from tests.rpcnet.chaos.record import Record, Seen

__all__ = ["command", "shrunk", "told"]

LINES = 24
"""The longest story of a call."""


def command(seed: int, without: tuple[int, ...] = ()) -> str:
    return f"python -m tests.rpcnet.chaos {seed}" + (f" --without {','.join(map(str, without))}" if without else "")


def told(record: Record, without: tuple[int, ...] = (), all_calls: bool = False) -> str:
    """A failure as text: the command comes first."""
    lines = [command(record.plan.seed, without)]
    lines += [f"  wrong: {wrong}" for wrong in record.wrong] or ["  all is well"]
    lines += record.plan.lines()
    named = {int(number) for text in record.wrong for number in re.findall(r"\bcall (\d+)\b", text)}
    for number, seen in record.seen.items():
        if all_calls or number in named:
            lines += _of(seen)
    return "\n".join(lines)


def _of(seen: Seen) -> Iterator[str]:
    yield f"  call {seen.call.number} on {seen.call.node}:"
    story = seen.story
    if len(story) > LINES:
        story = [*story[: LINES // 2], f"… {len(story) - LINES} more …", *story[-LINES // 2 :]]
    yield from (f"    {line}" for line in story)


def shrunk(plan: Plan, without: tuple[int, ...]) -> tuple[int, ...]:
    """What can be left out of a plan that fails so that it still fails in the same way."""
    kinds = {_kind(text) for text in play(plan).wrong}
    left_out = list(without)
    changed = True
    while changed:
        changed = False
        for number in plan.numbers:
            if number not in left_out and kinds & {_kind(text) for text in _wrong(plan, [*left_out, number])}:
                left_out.append(number)
                changed = True
    return tuple(sorted(left_out))


def _wrong(plan: Plan, left_out: list[int]) -> list[str]:
    return play(plan.without(left_out)).wrong


def _kind(text: str) -> str:
    """A failure without its numbers."""
    return re.sub(r"[0-9a-f]{12}|[0-9.]+", "#", text)[:80]
