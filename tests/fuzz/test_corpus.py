"""Each input of the corpus, and any bytes, keep the fuzzers' promises; without atheris."""

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.cluster.swim.message import Message
from tests.fuzz.targets import TARGETS

CORPUS = sorted((Path(__file__).with_name("corpus")).glob("*/*"))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("path", CORPUS, ids=[f"{path.parent.name}/{path.name}" for path in CORPUS])
def test_an_input_of_the_corpus_breaks_no_promise(path: Path, target: str) -> None:
    TARGETS[target](path.read_bytes())


def test_each_message_of_members_has_a_seed() -> None:
    seeds = {path.name for path in CORPUS if path.parent.name == "packet"}
    assert {kind.__name__.lower() for kind in get_args(Message)} <= seeds


@pytest.mark.parametrize("target", TARGETS)
@given(bits=st.integers(0, 7), size=st.integers(0, 255), data=st.binary(max_size=300))
def test_no_bytes_at_all_break_a_promise(target: str, bits: int, size: int, data: bytes) -> None:
    TARGETS[target](bytes((bits, size)) + data)
