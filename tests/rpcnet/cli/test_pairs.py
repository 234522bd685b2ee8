"""KEY=VALUE as it is typed."""

import pytest

from rpcnet.cli.exits import CommandError
from rpcnet.cli.pairs import pairs


def test_pairs_are_split_at_the_first_equals_sign() -> None:
    assert pairs("tag", ["a=1", "b=", "c=x=y"]) == {"a": "1", "b": "", "c": "x=y"}


@pytest.mark.parametrize(
    ("items", "says"),
    [
        (["a"], "tag 'a' is no KEY=VALUE"),
        (["=1"], "tag '=1' is no KEY=VALUE"),
        (["a=1", "a=2"], "tag a is given twice"),
    ],
)
def test_what_is_no_pair_is_told(items: list[str], says: str) -> None:
    with pytest.raises(CommandError) as raised:
        pairs("tag", items)
    assert str(raised.value) == says
