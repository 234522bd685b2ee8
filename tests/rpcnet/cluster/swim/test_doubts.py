"""A probe that has failed is told only after a late answer could have come; a death is found no later for it."""

from dataclasses import replace
from random import Random

import pytest

from rpcnet.cluster.swim.core import Core
from rpcnet.cluster.swim.effect import Exchange, Send
from rpcnet.cluster.swim.event import MemberFailed, MemberSuspected
from rpcnet.cluster.swim.message import Ack, Alive, IndirectPing, Nack, Ping, Suspect, decode, encode, encode_message
from rpcnet.cluster.swim.suspicion import minimum
from rpcnet.config import ClusterConfig

LEAST = 5.0
"""Seconds of the suspicion among so few."""
PATIENCE = 0.3 * LEAST
QUIET = {"push_pull_interval": 0.0, "reconnect_interval": 0.0, "gossip_to_dead_time": 0.0}
CONFIG = replace(ClusterConfig.lan(), suspicion_multiplier=LEAST, max_suspicion_multiplier=1.0, **QUIET)


class Member:
    """A core that has pinged "x" and got no answer."""

    def __init__(self, *, helpers="abc", answers=False, **changes):
        """answers: "x" does, from the second probe on. All others do always."""
        self.config = replace(CONFIG, **changes)
        self.core = Core("me", "me:1", run=5, config=self.config, random=Random(1))
        self.now, self.answers, self.sequence = 0.0, answers, None
        self.core.start(0.0)
        self.know("x")
        while not (pings := sent(effects := self.wait(0.01), Ping)):
            pass
        self.sequence = pings[0].sequence
        self.know(*helpers)
        self.failed_at = self.core._timers._current["probe", ""][0]
        self.effects = effects

    def hear(self, *messages, sender="b"):
        data = encode("default", sender, 1, [encode_message(message) for message in messages])
        return self.core.handle(data, f"{sender}:1", self.now)

    def know(self, *names):
        for name in names:
            self.hear(Alive(name, 1, 0, f"{name}:1", {}, 0, {}), sender=name)

    def wait(self, seconds):
        effects, end = [], self.now + seconds
        while (at := self.core.next_deadline()) <= end:
            self.now = max(self.now, at)
            for effect in self.core.tick(self.now):
                effects.append(effect)
                for ping in sent([effect], Ping):
                    if ping.target != "x" or (self.answers and self.sequence not in (None, ping.sequence)):
                        self.hear(Ack(ping.sequence), sender=ping.target)
        self.now = end
        return effects

    def fail(self, *, nacks="abc"):
        """Until the probe has failed; these helpers have said that they heard nothing either."""
        effects = self.wait(self.failed_at - 0.01 - self.now)
        for name in nacks:
            self.hear(Nack(self.sequence), sender=name)
        return effects + self.wait(0.02)


def sent(effects, kind):
    return [
        message
        for effect in effects
        if isinstance(effect, Send)
        for message in decode(effect.data).messages
        if isinstance(message, kind)
    ]


def kinds(effects):
    return [type(effect) for effect in effects if type(effect) in (MemberSuspected, MemberFailed)]


def test_a_failed_probe_is_told_after_the_patience():
    member = Member()
    effects = member.fail() + member.wait(PATIENCE - 0.1)
    assert not kinds(effects)
    assert not sent(effects, Suspect)
    effects = member.wait(0.2 + member.config.gossip_interval)
    assert kinds(effects) == [MemberSuspected]
    assert Suspect("x", 1, 0, "me") in sent(effects, Suspect)


@pytest.mark.parametrize("sender", ["x", "a"])
def test_a_late_answer_ends_the_doubt_quietly(sender):
    member = Member(answers=True)
    member.fail()
    member.wait(PATIENCE / 2)
    member.hear(Ack(member.sequence), sender=sender)
    effects = member.wait(3 * LEAST)
    assert not kinds(effects)
    assert not sent(effects, Suspect)


def test_an_answer_to_another_probe_ends_no_doubt():
    member = Member()
    member.fail()
    member.hear(Ack(member.sequence + 1000), sender="x")
    assert kinds(member.wait(PATIENCE)) == [MemberSuspected]


def test_the_time_of_a_suspect_counts_from_the_failed_probe():
    member = Member()
    member.fail()
    member.wait(PATIENCE)
    member.hear(Suspect("x", 1, 0, "a"), sender="a")
    left = member.failed_at + LEAST - member.now
    assert not kinds(member.wait(left - 0.1))
    assert kinds(member.wait(0.2)) == [MemberFailed]


def test_an_accuser_confirms_from_its_failed_probe_on():
    member = Member()
    member.fail()
    member.hear(Suspect("x", 1, 0, "a"), sender="a")
    left = member.failed_at + LEAST - member.now
    assert not kinds(member.wait(left - 0.1))
    assert kinds(member.wait(0.2)) == [MemberFailed]


def test_an_accusation_that_is_not_counted_hastens_nothing():
    member = Member()
    member.fail()
    member.hear(*(Suspect("x", 1, 0, accuser) for accuser in "abcd"), sender="a")
    heard = member.now
    member.wait(PATIENCE)
    assert member.core._table.suspicions["x"].started == heard


def test_one_that_has_spoken_for_itself_is_not_accused():
    member = Member()
    member.fail()
    member.hear(Alive("x", 1, 1, "x:1", {}, 0, {}), sender="a")
    assert not kinds(member.wait(3 * PATIENCE))


def test_who_hears_no_helper_either_is_patient_by_its_health():
    member = Member()
    member.fail(nacks="")
    silent_helpers = 3
    assert not kinds(member.wait((1 + silent_helpers) * PATIENCE - 0.1))
    assert kinds(member.wait(0.2)) == [MemberSuspected]
    assert member.core._table.suspicions["x"].started == pytest.approx(member.now - PATIENCE, abs=0.2)


@pytest.mark.parametrize(("nacks", "score"), [("abc", 0), ("ab", 0), ("a", 1), ("", 3)])
def test_one_silent_helper_beside_others_is_forgiven(nacks, score):
    member = Member()
    member.wait(member.failed_at - 0.01 - member.now)
    for name in nacks:
        member.hear(Nack(member.sequence), sender=name)
    member.core.tick(member.failed_at)
    assert member.core.awareness.score == score


def test_with_no_helper_to_ask_silence_is_no_deafness():
    member = Member(helpers="")
    assert not sent(member.fail(nacks=""), IndirectPing)
    assert kinds(member.wait(PATIENCE)) == [MemberSuspected]


def test_the_time_in_which_we_stall_is_not_the_suspects():
    member = Member()
    member.fail()
    late = member.now + PATIENCE + 1.0
    member.now = late
    assert not kinds(member.core.tick(late))
    assert not kinds(member.wait(PATIENCE - 0.2))
    assert kinds(member.wait(0.3)) == [MemberSuspected]


def test_without_patience_a_failed_probe_is_told_at_once():
    member = Member(accuse_at=0.0)
    assert kinds(member.fail()) == [MemberSuspected]


def test_one_that_leaves_accuses_nobody():
    member = Member()
    member.fail()
    member.core.leave(member.now)
    assert not kinds(member.wait(2 * PATIENCE))


def test_the_question_over_tcp_waits_for_a_late_answer():
    member = Member(answers=True)
    (stream,) = (effect for effect in member.wait(0.3) if isinstance(effect, Exchange))
    asked = member.now - 0.3 + stream.timeout
    assert asked + 0.3 >= member.failed_at + PATIENCE - 0.1
    member.fail()
    answer = encode("default", "x", 1, [encode_message(Ack(member.sequence))])
    member.core.exchanged(stream.number, answer, member.now)
    assert not kinds(member.wait(3 * LEAST))


def test_the_patience_is_a_share_of_the_least_suspicion():
    member = Member()
    assert minimum(member.config, 5) == LEAST
    assert member.core._prober.doubts.patience == pytest.approx(PATIENCE)
    with pytest.raises(ValueError, match="accuse_at"):
        replace(ClusterConfig.lan(), accuse_at=1.0)


@pytest.mark.parametrize(("multiplier", "patience"), [(3.0, 0.0), (4.0, 0.5), (4.5, 1.0), (6.0, 1.8)])
def test_a_suspect_keeps_the_time_to_refute(multiplier, patience):
    """A starved one reads what it is told up to 2.5 s late."""
    member = Member(suspicion_multiplier=multiplier)
    assert member.core._prober.doubts.patience == pytest.approx(patience)


@pytest.mark.parametrize(("multiplier", "seconds"), [(3.0, 0.0), (5.0, 0.0), (5.5, 0.35), (8.0, 0.5)])
def test_where_time_is_to_spare_it_counts_from_when_the_answer_was_due(multiplier, seconds):
    member = Member(suspicion_multiplier=multiplier, question_at=0.0)
    member.fail()
    member.wait(0.3 * multiplier)
    verdict = member.failed_at + multiplier - seconds
    assert not kinds(member.wait(verdict - member.now - 0.05))
    assert kinds(member.wait(0.1)) == [MemberFailed]


def test_what_is_told_at_once_counts_from_the_failed_probe():
    assert Member(accuse_at=0.0, suspicion_multiplier=8.0).core._prober.doubts.head_start == 0


def test_an_answer_after_the_accusation_begins_the_time_anew():
    member = Member()
    member.fail()
    member.wait(PATIENCE + 1.0)
    member.hear(Ack(member.sequence), sender="x")
    assert not kinds(member.wait(LEAST - 0.1))
    assert kinds(member.wait(0.2)) == [MemberFailed]


@pytest.mark.parametrize(("share", "is_asked"), [(0.5, True), (0.0, False)])
def test_whose_answer_came_too_late_is_told_of_the_suspicion_at_once(share, is_asked):
    member = Member(question_at=share)
    member.fail()
    member.wait(PATIENCE + 0.1)
    member.hear(Ack(member.sequence), sender="x")
    effects = [effect for effect in member.wait(0.01) if isinstance(effect, Send) and effect.address == "x:1"]
    assert bool(sent(effects, Ping) and sent(effects, Suspect)) is is_asked


def test_an_answer_to_the_next_probe_begins_the_time_anew():
    member = Member(helpers="", answers=True)
    member.fail(nacks="")
    member.wait(PATIENCE)
    suspicion = member.core._table.suspicions["x"]
    answered = []
    while member.now < member.failed_at + LEAST - 0.5:
        pings = sent(member.wait(0.05), Ping)
        answered += [member.now for ping in pings if ping.target == "x"]
    assert answered, "it is the only one that there is to probe"
    assert suspicion.started >= answered[-1] - 0.05
