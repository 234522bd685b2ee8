"""Tags: a member's own words about itself, set as a whole batch under one version.

Checks what a user sets, and computes the next batch. Knows no member and no message.
"""

from collections.abc import Iterable, Mapping

import msgspec

from rpcnet.cluster.errors import InvalidTag, TagsTooLarge

__all__ = ["TagPairs", "changed", "check", "size"]

TagPairs = Mapping[str, str] | Iterable[tuple[str, str]]
MAX_KEY_LENGTH = 128
_encoder = msgspec.msgpack.Encoder()


def check(
    pairs: Mapping[str, str | None] | Iterable[tuple[str, str | None]], *, deletes: bool
) -> dict[str, str | None]:
    """The pairs as a dictionary; None is a value only where it may delete. Raises InvalidTag."""
    if not isinstance(pairs, Iterable):
        raise InvalidTag(f"tags are a mapping or (key, value) pairs, not {pairs!r}")
    tags: dict[str, str | None] = {}
    for pair in pairs.items() if isinstance(pairs, Mapping) else pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InvalidTag(f"tags are a mapping or (key, value) pairs, not {pair!r}")
        key, value = pair
        if not isinstance(key, str) or not key or len(key) > MAX_KEY_LENGTH or not key.isprintable():
            raise InvalidTag(f"tag key {key!r} must be printable text of 1 to {MAX_KEY_LENGTH} characters")
        if not (isinstance(value, str) or (value is None and deletes)):
            allowed = "text, or None to delete it" if deletes else "text"
            raise InvalidTag(f"value of tag {key!r} must be {allowed}, not {value!r}; convert it with str()")
        tags[key] = value
    return tags


def changed(held: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """The batch after `changes`: None deletes, everything else replaces or adds."""
    merged = {**held, **changes}
    return {key: value for key, value in merged.items() if value is not None}


def size(tags: Mapping[str, str], limit: int) -> int:
    """Encoded bytes of a batch. Raises TagsTooLarge."""
    try:
        encoded = len(_encoder.encode(dict(tags)))
    except UnicodeEncodeError as error:
        raise InvalidTag(f"a tag holds text that is not valid Unicode: {error}") from None
    if encoded > limit:
        raise TagsTooLarge(
            f"tags take {encoded} bytes, more than max_tags_bytes ({limit}); keep them short or raise it"
        )
    return encoded
