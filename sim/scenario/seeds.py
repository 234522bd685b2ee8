"""Ranges of seeds as files and command lines write them: `1:100`, both ends included."""

__all__ = ["parse_seeds"]


def parse_seeds(text: str) -> range:
    """Every seed from A to B of "A:B", or the one of "A". Raises ValueError, with what would do."""
    first, colon, last = text.partition(":")
    try:
        seeds = range(int(first), int(last if colon else first) + 1)
    except ValueError:
        raise ValueError(f'seeds "{text}" are no range; write it as A:B, like 1:20') from None
    if not seeds:
        raise ValueError(f'seeds "{text}" are none; both ends are included, the first must not be above the last')
    return seeds
