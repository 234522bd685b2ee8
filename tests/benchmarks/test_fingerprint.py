"""The digest of what the cores do: the same again, and another once anything that they send differs."""

import pytest

from benchmarks.swim import fingerprint, workloads
from rpcnet.cluster.swim.outbox import Outbox


@pytest.fixture
def behaviour(monkeypatch):
    monkeypatch.setattr(fingerprint, "RUNS", (lambda config: workloads.crash(config, 1, members=8),))
    return fingerprint.behaviour.__wrapped__


def test_the_same_code_does_the_same(behaviour):
    assert behaviour() == behaviour()


def test_one_update_less_on_a_packet_is_seen(behaviour, monkeypatch):
    before, transmissions = behaviour(), Outbox.transmissions
    monkeypatch.setattr(Outbox, "transmissions", lambda self: transmissions(self) - 1)
    assert behaviour() != before
