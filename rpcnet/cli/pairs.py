"""KEY=VALUE, as it is typed: labels, services, metadata, tags.

Tests: tests/rpcnet/cli/test_pairs.py.
"""

from collections.abc import Iterable

from rpcnet.cli.exits import CommandError

__all__ = ["pairs"]


def pairs(what: str, items: Iterable[str]) -> dict[str, str]:
    """By key. CommandError, which begins with `what`, where one is no pair or a key is given twice."""
    found: dict[str, str] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not key or not equals:
            raise CommandError(f"{what} {item!r} is no KEY=VALUE")
        if key in found:
            raise CommandError(f"{what} {key} is given twice")
        found[key] = value
    return found
