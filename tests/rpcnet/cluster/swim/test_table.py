"""Claims about members, one by one: what wins, what it makes known, and the defects of other implementations."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpcnet.cluster.swim.core import Core
from rpcnet.cluster.swim.effect import Exchange, Noticed, Send
from rpcnet.cluster.swim.event import (
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRecovered,
    MemberSuspected,
    ServicesChanged,
    TagsChanged,
)
from rpcnet.cluster.swim.member import MemberStatus
from rpcnet.cluster.swim.message import (
    MAX_NUMBER,
    Ack,
    Alive,
    Dead,
    IndirectPing,
    Left,
    Nack,
    Ping,
    Record,
    Refused,
    Rows,
    State,
    Summary,
    Suspect,
    Tags,
    decode,
    encode,
    encode_message,
)
from rpcnet.config import ClusterConfig


class Member:
    """A core that hears what the test says."""

    def __init__(self, config=None, **keys):
        self.core = Core("me", "me:1", run=5, config=config or ClusterConfig.lan(), random=Random(1), **keys)
        self.now = 0.0
        self.core.start(self.now)

    def hear(self, *messages, sender="b"):
        data = encode("default", sender, 1, [encode_message(message) for message in messages])
        return [effect for effect in self.core.handle(data, f"{sender}:1", self.now) if hasattr(effect, "member")]

    def bury(self, record):
        """It is suspected, and given up elsewhere after it had time to refute."""
        self.hear(record, Suspect(record.name, record.run, record.incarnation, "b"))
        self.wait(3.0)
        self.hear(Dead(record.name, record.run, record.incarnation, "b"))

    def merge(self, *records, sender="b"):
        """Rows of the sender's table."""
        data = encode("default", sender, 1, [encode_message(Rows(list(records), []))])
        return self.core.handle_stream(data, f"{sender}:1", self.now)[1]

    def wait_all(self, seconds):
        effects, end = [], self.now + seconds
        while (at := self.core.next_deadline()) <= end:
            self.now = max(self.now, at)
            effects += self.core.tick(self.now)
        self.now = end
        return effects

    def wait(self, seconds):
        events, end = [], self.now + seconds
        while (at := self.core.next_deadline()) <= end:
            self.now = max(self.now, at)
            events += [effect for effect in self.core.tick(self.now) if hasattr(effect, "member")]
        self.now = end
        return events

    def told(self):
        """What would be sent to others now."""
        data = self.core._outbox.packet(self.core._queue.take(10_000, 1000))
        return decode(data).messages


def alive(name="x", run=1, incarnation=1, version=0, tags=None):
    return Alive(name, run, incarnation, f"{name}:1", {}, version, tags or {})


@pytest.fixture
def member():
    return Member()


def kinds(events):
    return [type(event) for event in events]


def test_a_death_at_a_higher_incarnation_advances_the_one_that_is_held(member):
    """al8n/memberlist #197, inherited from HashiCorp: Alive@1, Dead@1, Dead@10 (dropped), Alive@2 brought it back."""
    member.bury(alive(incarnation=1))
    assert member.hear(Dead("x", 1, 10, "b")) == []
    assert member.core.member("x").incarnation == 10
    assert Dead("x", 1, 10, "b") in member.told(), "and others are told"
    assert member.hear(alive(incarnation=2)) == []
    assert member.core.member("x").status is MemberStatus.FAILED
    assert kinds(member.hear(alive(incarnation=11))) == [MemberRecovered]


def test_a_suspicion_at_a_higher_incarnation_starts_a_fresh_timer(member):
    """kinship docs/results/lifeguard.md: one that had refuted was killed by the older suspicion's timer."""
    member.hear(alive(incarnation=1), Suspect("x", 1, 1, "b"))
    member.wait(2.5)
    assert kinds(member.hear(Suspect("x", 1, 2, "c"))) == [MemberSuspected]
    assert MemberFailed not in kinds(member.wait(2.9))
    assert MemberFailed in kinds(member.wait(0.2))


def test_a_forged_incarnation_at_the_end_of_the_numbers_does_not_evict_for_good(member):
    """hashicorp/memberlist #358: the incarnation overflowed to 0. Here a new run begins, which wins over all of it."""
    member.hear(Suspect("me", 5, MAX_NUMBER, "b"))
    assert member.core.me.run == 6
    assert member.core.me.status is MemberStatus.ALIVE
    assert any(isinstance(message, Alive) and message.run == 6 for message in member.told())


def test_a_death_of_an_unknown_member_is_kept_and_told_on(member):
    """hashicorp/memberlist #311, #345: after a mass restart nobody told the restarted one what is held against it."""
    member.hear(alive("b"))
    assert member.hear(Dead("x", 1, 7, "b")) == []
    assert Dead("x", 1, 7, "b") in member.told()
    assert member.core.member("x") is None, "nobody here has seen it alive"
    assert member.hear(alive(incarnation=3)) == []
    assert kinds(member.hear(alive(incarnation=8))) == [MemberJoined]


def test_only_the_accused_refutes(member):
    member.hear(alive(incarnation=3))
    member.told()
    member.hear(Suspect("x", 1, 3, "b"))
    assert not any(isinstance(message, Alive) and message.name == "x" for message in member.told())
    assert member.core.member("x").incarnation == 3


def test_the_accused_answers_its_accuser_at_once(member):
    member.hear(alive("b"))
    data = encode("default", "b", 1, [encode_message(Suspect("me", 5, 0, "b"))])
    sent = [effect for effect in member.core.handle(data, "b:1", 0.0) if hasattr(effect, "data")]
    assert any(isinstance(message, Alive) and message.incarnation == 1 for message in decode(sent[0].data).messages)
    assert member.core.stats.refutations == 1
    assert member.core.awareness.score == 1


def test_whoever_is_held_for_dead_is_told_so_when_it_speaks(member):
    member.bury(alive())
    data = encode("default", "x", 1, [encode_message(Ping(3, "me", 0))])
    sent = [effect for effect in member.core.handle(data, "x:1", 0.0) if hasattr(effect, "data")]
    messages = decode(sent[0].data).messages
    assert messages[0] == Ack(3)
    assert any(isinstance(message, Dead) and message.name == "x" for message in messages)


def test_tags_of_an_older_version_or_run_change_nothing(member):
    member.hear(alive(run=2, version=5, tags={"k": "5"}))
    assert member.hear(Tags("x", 2, 4, {"k": "4"}), Tags("x", 1, 9, {"k": "9"}), alive(run=1, version=9)) == []
    assert member.core.member("x").tags == {"k": "5"}
    assert kinds(member.hear(Tags("x", 2, 6, {"k": "6"}))) == [TagsChanged]


def test_a_new_run_starts_with_its_own_tags_whatever_the_version_was(member):
    """mrhooray/swim-js #14: a rejoining member's tags were overwritten by the cluster's old copy."""
    member.hear(alive(run=1, version=50, tags={"life": "first"}))
    assert kinds(member.hear(alive(run=2, version=1, tags={"life": "second"}))) == [MemberJoined]
    assert member.core.member("x").tags == {"life": "second"}


def test_a_refutation_that_overtakes_newer_tags_does_not_bring_the_older_ones_back(member):
    member.hear(alive(incarnation=1, version=1, tags={"k": "1"}), Tags("x", 1, 2, {"k": "2"}))
    member.hear(alive(incarnation=2, version=1, tags={"k": "1"}))
    assert member.core.member("x").tags == {"k": "2"}
    told = [message for message in member.told() if isinstance(message, Alive) and message.name == "x"]
    assert told[0].tags == {"k": "2"}


def test_tags_forged_in_our_name_are_outbid_with_our_own(member):
    member.core.set_tags({"k": "mine"}, 0.0)
    member.hear(Tags("me", 5, 40, {"k": "forged"}))
    assert member.core.me.version == 41
    assert member.core.me.tags == {"k": "mine"}


def test_a_death_heard_in_a_push_pull_is_a_suspicion_first(member):
    """So that the two sides of a healed partition do not bury each other."""
    member.hear(alive("x"), alive("b"))
    record = Record("x", 1, 1, 2, "x:1", {}, 0, {}, 40)
    data = encode("default", "b", 1, [encode_message(State([record]))])
    _, effects = member.core.handle_stream(data, "b:1", 0.0)
    assert kinds(effect for effect in effects if hasattr(effect, "member")) == [MemberSuspected]


def test_a_left_member_is_not_declared_dead_and_does_not_return_in_the_same_run(member):
    member.hear(alive(incarnation=1))
    assert kinds(member.hear(Left("x", 1, 1))) == [MemberLeft]
    assert member.hear(Dead("x", 1, 1, "b"), alive(incarnation=1), Suspect("x", 1, 1, "b")) == []
    assert kinds(member.hear(alive(run=2))) == [MemberJoined]


def test_an_elder_process_under_our_name_does_not_make_us_give_way_nor_the_other_way_round(member):
    """A living newer run at another address has replaced us: no war of ever higher runs."""
    member.hear(Alive("me", 9, 0, "elsewhere:1", {}, 0, {}))
    assert member.core.me.run == 5
    assert member.core.stats.name_conflicts == 1


def test_one_held_for_dead_that_is_doubted_at_a_higher_incarnation_was_alive_in_between(member):
    member.bury(alive(incarnation=1))
    assert kinds(member.hear(Suspect("x", 1, 2, "b"))) == [MemberRecovered, MemberSuspected]
    assert member.core.member("x").is_up


def test_a_suspicion_of_a_run_that_nobody_here_knows_waits_for_its_alive(member):
    member.hear(alive(run=1))
    assert member.hear(Suspect("x", 2, 0, "b"), Suspect("unknown", 1, 0, "b")) == []
    assert member.core.member("x").status is MemberStatus.ALIVE


def test_a_leaving_member_keeps_its_word_whatever_incarnation_is_claimed(member):
    member.core.leave(0.0)
    member.hear(Suspect("me", 5, 7, "b"))
    assert member.core.me.status is MemberStatus.LEFT
    assert Left("me", 5, 7) in member.told()


def test_tombstones_count_for_max_members(member):
    member.core._table._config = replace(ClusterConfig.lan(), max_members=2)
    member.hear(Dead("x", 1, 1, "b"), Dead("y", 1, 1, "b"), Left("z", 1, 1))
    assert len(member.core._table.entries) == 2
    assert member.core.stats.refused_members >= 2


def test_a_new_address_service_or_tag_of_a_refutation_is_taken_over(member):
    member.hear(alive(incarnation=1))
    events = member.hear(Alive("x", 1, 2, "elsewhere:1", {"rpc": "h:1"}, 1, {"k": "v"}))
    assert kinds(events) == [TagsChanged, ServicesChanged]
    found = member.core.member("x")
    assert (found.address, found.services, found.tags) == ("elsewhere:1", {"rpc": "h:1"}, {"k": "v"})


def test_a_table_says_of_the_suspects_and_the_departed_what_it_holds(member):
    records = [
        Record("s", 1, 1, 1, "s:1", {}, 0, {}, 0),
        Record("d", 1, 1, 2, "d:1", {}, 0, {}, 9),
        Record("l", 1, 1, 3, "l:1", {}, 0, {}, 9),
    ]
    data = encode("default", "b", 1, [encode_message(State(records))])
    _, effects = member.core.handle_stream(data, "b:1", 100.0)
    assert kinds(effect for effect in effects if hasattr(effect, "member")) == [MemberJoined, MemberSuspected]
    held = {name: entry.changed_at for name, entry in member.core._table.entries.items()}
    assert held["d"] == held["l"] == 91.0, "a tombstone keeps its age"


def test_what_others_hold_of_us_and_we_say_ourselves_needs_no_answer(member):
    me = member.core.me
    member.told()
    assert member.hear(Alive("me", me.run, me.incarnation, "me:1", {}, me.version, {})) == []
    assert member.core.me == me
    assert member.core.stats.refutations == 0


def test_a_rumour_after_we_left_is_answered_with_a_newer_leave_only_if_it_is_newer(member):
    member.core.leave(0.0)
    member.told()
    member.hear(Suspect("me", 5, 0, "b"))
    assert member.core.me.incarnation == 0
    member.hear(Suspect("me", 5, 3, "b"))
    assert member.core.me.incarnation == 3
    assert Left("me", 5, 3) in member.told()


def test_a_newer_claim_that_we_live_is_outbid_but_is_no_accusation(member):
    member.hear(Alive("me", 5, 3, "me:1", {}, 0, {}))
    assert member.core.me.incarnation == 4
    assert member.core.stats.refutations == 0
    assert member.core.awareness.score == 0


def test_our_death_and_leave_are_refuted_and_a_newer_dead_run_outbid(member):
    member.hear(Dead("me", 5, 0, "b"))
    assert (member.core.me.run, member.core.me.incarnation) == (5, 1)
    member.hear(Left("me", 5, 1))
    assert (member.core.me.run, member.core.me.incarnation) == (5, 2)
    member.hear(Dead("me", 9, 3, "b"))
    assert (member.core.me.run, member.core.me.incarnation) == (10, 0)
    assert member.core.me.status is MemberStatus.ALIVE


def test_a_newer_run_beyond_the_last_number_is_a_conflict(member):
    member.hear(Dead("me", MAX_NUMBER, 3, "b"))
    assert member.core.me.run == 5
    assert member.core.stats.name_conflicts == 1


def test_a_stall_of_ours_is_no_time_that_a_suspect_had(member):
    member.hear(alive(incarnation=1), Suspect("x", 1, 1, "b"))
    before = member.core._table.suspicions["x"].deadline
    member.now = 3.0  # nothing was done meanwhile, although a probe was due every second
    member.core.tick(member.now)
    assert member.core._table.suspicions["x"].deadline == before + 3.0
    assert MemberFailed not in kinds(member.wait(before - 0.1))
    assert MemberFailed in kinds(member.wait(0.2))


def test_a_table_in_a_datagram_is_skipped(member):
    state = State([Record("x", 1, 1, 0, "x:1", {}, 0, {}, 0)])
    assert kinds(member.hear(state, alive("y"))) == [MemberJoined]
    assert member.core.member("x") is None


def test_a_datagram_that_cannot_be_read_is_counted(member):
    assert member.core.handle(b"no packet", "b:1", 0.0) == []
    assert member.core.stats.malformed == 1


def test_our_own_datagram_that_comes_back_changes_nothing(member):
    data = encode("default", "me", 5, [encode_message(alive()), encode_message(Ping(1, "me", 0))])
    assert member.core.handle(data, "me:1", 0.0) == []
    assert [found.name for found in member.core.members()] == ["me"]


names = st.sampled_from(["me", "b", "x", "y"])
small = st.one_of(st.integers(0, 6), st.just(MAX_NUMBER))
texts = st.dictionaries(st.text("ab", min_size=1, max_size=2), st.text("ab", max_size=2), max_size=2)
records = st.builds(Record, names, small, small, st.integers(0, 3), names, texts, small, texts, small)
messages = st.one_of(
    st.builds(Ping, st.integers(0, 5), names, small),
    st.builds(IndirectPing, st.integers(0, 5), names, names),
    st.builds(Ack, st.integers(0, 5)),
    st.builds(Nack, st.integers(0, 5)),
    st.builds(Alive, names, small, small, names, texts, small, texts),
    st.builds(Suspect, names, small, small, names),
    st.builds(Dead, names, small, small, names),
    st.builds(Left, names, small, small),
    st.builds(Tags, names, small, small, texts),
    st.builds(State, st.lists(records, max_size=3)),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("datagram"), names, small, st.lists(messages, max_size=4)),
        st.tuples(st.just("stream"), names, small, st.lists(messages, max_size=4)),
        st.tuples(st.just("wait"), st.floats(0, 20)),
        st.tuples(st.just("stall"), st.floats(0, 20)),
        st.tuples(st.just("tags"), texts),
        st.tuples(st.just("leave")),
    ),
    max_size=15,
)


@settings(max_examples=300, deadline=None)
@given(steps)
def test_whatever_valid_messages_come_the_table_stays_sound(steps):
    member, highest = Member(), {}
    core, left = member.core, False
    for step in steps:
        match step:
            case "datagram", sender, run, heard:
                core.handle(
                    encode("default", sender, run, [encode_message(m) for m in heard]), f"{sender}:1", member.now
                )
            case "stream", sender, run, heard:
                data = encode("default", sender, run, [encode_message(m) for m in heard])
                core.handle_stream(data, f"{sender}:1", member.now)
            case "wait", seconds:
                member.wait(seconds)
            case "stall", seconds:
                member.now += seconds
                core.tick(member.now)
            case "tags", tags:
                if not left:
                    core.set_tags(tags, member.now)
            case ("leave",):
                core.leave(member.now)
                left = True
        assert core.me.status is (MemberStatus.LEFT if left else MemberStatus.ALIVE)
        table = core._table
        assert table.up == sum(entry.is_up for entry in table.entries.values())
        assert table.digest == sum(entry.digest for entry in table.entries.values()) % 2**56
        assert set(table.dead) == {e.name for e in table.entries.values() if e.status == 2}
        assert set(table.suspicions) == {e.name for e in table.entries.values() if e.status == 1}
        for entry in table.entries.values():
            assert entry.claim >= highest.get(entry.name, entry.claim), "a verdict never goes back"
            highest[entry.name] = entry.claim


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=100))
def test_any_datagram_is_survived_and_counted_if_it_is_none_of_ours(data):
    core = Member().core
    core.handle(data, "1.2.3.4:5", 0.0)
    assert core.stats.malformed + core.stats.foreign_version + core.stats.foreign_cluster == 1
    assert core.handle_stream(data, "1.2.3.4:5", 0.0)[0] is None
    assert len(core.members()) == 1


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_datagram_never_raises_and_gets_no_answer_unless_it_is_still_one_of_ours(data):
    core = Member().core
    good = bytearray(encode("default", "b", 1, [encode_message(alive("b")), encode_message(Ping(1, "me", 0))]))
    place = data.draw(st.integers(0, len(good) - 1))
    if data.draw(st.booleans()):
        good[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del good[place:]
    before = core.stats.malformed + core.stats.foreign_version + core.stats.foreign_cluster
    effects = core.handle(bytes(good), "b:1", 0.0)
    if core.stats.malformed + core.stats.foreign_version + core.stats.foreign_cluster > before:
        # One of our cluster, whose beginning is whole, is told; in fewer bytes than came.
        sent = [effect for effect in effects if not isinstance(effect, Noticed)]
        assert all(type(decode(send.data).messages[0]) is Refused and len(send.data) <= len(good) for send in sent)
        assert len(sent) <= 1


def row(name="x", run=1, incarnation=1, status=0, address="x:1", services=None, version=3, tags=None, age=0):
    return Record(name, run, incarnation, status, address, services or {}, version, tags or {}, age)


def sent_to(effects, address):
    found = [effect for effect in effects if isinstance(effect, Send) and effect.address == address]
    return [decode(effect.data).messages for effect in found]


def test_a_members_own_row_repairs_a_damaged_one(member):
    member.hear(alive(version=3, tags={"k": "damaged"}))
    events = [effect for effect in member.merge(row(tags={"k": "right"}), sender="x") if hasattr(effect, "member")]
    assert kinds(events) == [TagsChanged]
    assert member.core.member("x").tags == {"k": "right"}


def test_a_members_own_row_repairs_its_services_without_an_event(member):
    member.hear(alive(version=3, tags={"k": "v"}))
    effects = member.merge(row(services={"rpc": "x:2"}, tags={"k": "v"}), sender="x")
    assert [effect for effect in effects if hasattr(effect, "member")] == []
    assert member.core.member("x").services == {"rpc": "x:2"}


def test_the_owner_is_asked_which_of_two_contents_is_right(member):
    member.hear(alive(version=3, tags={"k": "one"}))
    member.now = 100.0
    asked = [effect for effect in member.merge(row(tags={"k": "other"})) if isinstance(effect, Exchange)]
    assert [exchange.address for exchange in asked] == ["x:1"]
    assert isinstance(decode(asked[0].data).messages[0], State | Summary)
    assert member.core.member("x").tags == {"k": "one"}, "until the owner has answered"
    again = [effect for effect in member.merge(row(tags={"k": "other"})) if isinstance(effect, Exchange)]
    assert again == [], "but seldom: anybody can send rows"


def test_a_members_own_row_repairs_its_address_and_tells_both(member):
    """Damaged on its way, or two processes that started in one microsecond: each address hears of the other."""
    member.hear(Alive("x", 1, 1, "damaged:1", {}, 3, {}))
    effects = member.merge(row(), sender="x")
    assert member.core.member("x").address == "x:1"
    assert sent_to(effects, "x:1") == [[Alive("x", 1, 1, "damaged:1", {}, 3, {})]]
    assert sent_to(effects, "damaged:1") == [[Alive("x", 1, 1, "x:1", {}, 3, {})]]
    again = member.core.handle(
        encode("default", "b", 1, [encode_message(Alive("x", 1, 1, "damaged:1", {}, 3, {}))]), "b:1", member.now
    )
    assert sent_to(again, "damaged:1") == [], "once a gossip interval"


def test_newer_tags_of_a_failed_member_are_kept_without_an_event(member):
    member.bury(alive(incarnation=1, version=1))
    assert member.hear(Tags("x", 1, 2, {"k": "late"})) == []
    assert member.core.member("x").tags == {"k": "late"}


def test_equal_rows_are_no_contradiction(member):
    member.hear(alive(version=3, tags={"k": "v"}))
    assert member.merge(row(tags={"k": "v"})) == []


def test_a_death_of_one_nobody_doubts_is_a_suspicion_first(member):
    member.hear(alive(incarnation=1))
    assert kinds(member.hear(Dead("x", 1, 1, "b"))) == [MemberSuspected]
    (asked,) = sent_to(member.wait_all(0.01), "x:1")
    assert isinstance(asked[0], Ping)
    assert any(isinstance(message, Suspect) for message in asked), "it learns what it is accused of"
    assert kinds(member.hear(alive(incarnation=2))) == [MemberRecovered]


def test_a_death_that_is_not_refuted_is_taken_after_the_least_suspicion(member):
    member.hear(alive(incarnation=1), alive("c"), alive("d"), alive("e"))
    member.hear(Dead("x", 1, 1, "b"))
    assert MemberFailed not in kinds(member.wait(2.9))
    assert MemberFailed in kinds(member.wait(0.2))


def test_a_death_soon_after_the_suspicion_waits_for_the_answer(member):
    member.hear(*(alive(name) for name in "bcde"), alive(), Suspect("x", 1, 1, "b"))
    member.wait(1.0)
    assert MemberFailed not in kinds(member.hear(Dead("x", 1, 1, "c")))
    assert MemberFailed not in kinds(member.wait(1.9))
    assert MemberFailed in kinds(member.wait(0.2))


def test_a_death_that_many_tell_is_questioned_once_an_interval(member):
    """Its answer tells of other deaths, each of which is questioned too: without a bound that is a storm."""
    member.hear(*(alive(name) for name in "bcde"), alive())
    member.core._prober.stop()
    asked = []
    for number in range(14):
        member.hear(Dead("x", 1, 1, "c"), sender="bcde"[number % 4])
        sent = sent_to(member.wait_all(0.1), "x:1")
        asked.append(sum(isinstance(message, Ping) for messages in sent for message in messages))
    assert asked[0] == 1 and sum(asked) == 2


def test_the_only_one_who_can_confirm_probes_the_suspect_next(member):
    member.hear(*(alive(name) for name in "bxyz"))
    member.hear(*(Suspect(name, 1, 1, "b") for name in "xyz"))
    asked = []
    for _ in range(3):
        pings = [effect for effect in member.wait_all(1.0) if isinstance(effect, Send)]
        asked += [
            messages[0].target
            for effect in pings
            for messages in [decode(effect.data).messages]
            if messages and isinstance(messages[0], Ping)
        ]
    assert "b" not in asked
    assert member.core._table.suspicions.unconfirmed("me", member.core._prober.doubts) in ("y", "z", None)


def test_in_the_turn_of_one_that_we_accuse_another_is_probed(member):
    """It is asked anyway until the verdict; of the other something may be learnt."""
    member.hear(*(alive(name) for name in "bcdx"))
    prober, accused = member.core._prober, []
    for _ in range(12):
        member.wait(1.0)
        if accused:
            assert prober._probe.name != accused[0]
        accused = [name for name in member.core._table.suspicions if name in member.core._table.suspicions.accusations]


def test_a_death_at_a_refuted_incarnation_is_ignored(member):
    member.hear(alive(incarnation=2))
    assert member.hear(Dead("x", 1, 1, "b")) == []


def test_without_questions_a_death_is_believed_at_once():
    member = Member(replace(ClusterConfig.lan(), question_at=0.0))
    member.hear(alive(incarnation=1))
    assert kinds(member.hear(Dead("x", 1, 1, "b"))) == [MemberFailed]
    member.hear(alive("y"), Suspect("y", 1, 1, "b"))
    pings = [messages for messages in sent_to(member.wait_all(3.9), "y:1") if isinstance(messages[0], Ping)]
    assert len(pings) <= 4, "those of the probes"


def test_a_suspect_is_asked_at_a_share_of_its_least_time(member):
    member.hear(alive("y"), Suspect("y", 1, 1, "b"))
    member.core._prober.stop()
    assert not any(isinstance(messages[0], Ping) for messages in sent_to(member.wait_all(1.4), "y:1"))
    assert any(isinstance(messages[0], Ping) for messages in sent_to(member.wait_all(0.2), "y:1"))


@pytest.mark.parametrize("stale", [Suspect("me", 5, 0, "c"), Dead("me", 5, 0, "c"), Suspect("me", 4, 9, "c")])
def test_what_was_refuted_before_is_refuted_to_its_sender(member, stale):
    member.hear(alive("b"))
    member.hear(Suspect("me", 5, 0, "b"))
    member.now = 10.0
    data = encode("default", "b", 1, [encode_message(stale)])
    (answer,) = sent_to(member.core.handle(data, "b:1", member.now), "b:1")
    assert Alive("me", 5, 1, "me:1", {}, 0, {}) in answer
    assert sent_to(member.core.handle(data, "b:1", member.now), "b:1") == [], "once a gossip interval"
    assert member.hear(Alive("me", 4, 9, "me:1", {}, 0, {})) == [], "an old record accuses nobody"


def test_suspects_are_not_waited_for_to_confirm():
    """Of five three are suspects: one confirmation is all that can come, where two were wanted."""
    member = Member(ClusterConfig.memberlist_lan())
    member.hear(*(alive(name) for name in "bxyz"))
    member.hear(Suspect("x", 1, 1, "b"), Suspect("x", 1, 1, "me"))
    assert MemberFailed not in kinds(member.wait(0.5))
    member.hear(Suspect("y", 1, 1, "b"), Suspect("z", 1, 1, "b"))
    assert ("x", True) in [(event.member.name, type(event) is MemberFailed) for event in member.wait(3.6)]


def test_accusations_are_repeated_as_far_as_there_is_room(member):
    names = [f"{letter}{'n' * 120}" for letter in "abcdefghijkl"]
    member.hear(alive("b"), *(alive(name) for name in names[:6]))
    member.hear(*(alive(name) for name in names[6:]))
    member.told()
    for name in names:
        member.core._table.accuse(member.core._table.entries[name], member.now, member.now)
    member.told()
    member.core._queue.clear()
    data = encode("default", "b", 1, [encode_message(Ping(3, "me", 0))])
    (messages,) = sent_to(member.core.handle(data, "b:1", member.now), "b:1")
    repeated = [message.name for message in messages if isinstance(message, Suspect)]
    assert repeated == list(reversed(names))[: len(repeated)]
    assert 4 <= len(repeated) <= 8
    member.hear(alive(names[-1], incarnation=2))
    member.core._queue.clear()
    (messages,) = sent_to(member.core.handle(data, "b:1", member.now), "b:1")
    assert Suspect(names[-1], 1, 1, "me") not in messages, "it has refuted"


def test_accusations_that_do_not_fit_are_left_out():
    member = Member(room=200)
    member.hear(alive("b"), alive("x" * 120))
    member.core._table.accuse(member.core._table.entries["x" * 120], 0.0, 0.0)
    member.core._queue.clear()
    long = "s" * 60
    data = encode("default", "b", 1, [encode_message(IndirectPing(3, long, "i:1"))])
    assert len(sent_to(member.core.handle(data, "b:1", 0.0), "i:1")[0]) == 1


def test_the_latest_dead_come_first_whenever_they_were_heard_of(member):
    member.now = 1000.0
    member.merge(row("old", status=2, age=500), row("older", status=2, age=900), row("new", status=2, age=5))
    assert member.core._table.latest_dead() == ["new", "old", "older"]
    assert member.core._table.dead_since(400.0) == ["new", "old"]
    member.merge(row("newest", status=2, age=0))
    assert member.core._table.latest_dead()[0] == "newest"


def test_the_digest_covers_every_field_and_the_suspicion(member):
    digests = [member.core._table.digest]
    for heard in (
        alive(incarnation=1),
        alive(incarnation=1, version=1, tags={"a": "1"}),
        Tags("x", 1, 2, {"a": "2"}),
        Suspect("x", 1, 1, "b"),
        alive(incarnation=2, version=2, tags={"a": "2"}),
    ):
        member.hear(heard)
        digests.append(member.core._table.digest)
    assert len(set(digests)) == len(digests)
    assert sum(member.core._table.part_digests) == sum(entry.digest for entry in member.core._table.entries.values())


def test_a_late_confirmation_is_no_late_timer_of_ours(member):
    """It ends a suspicion whose least time is over: a probe in flight was void each time, and we thought to be ill."""
    member.hear(*(alive(name) for name in "bcdefx"), Suspect("x", 1, 0, "b"))
    member.wait(8.0)
    member.hear(Suspect("x", 1, 1, "b"))
    member.wait(8.0)
    score = member.core.awareness.score
    assert kinds(member.hear(Suspect("x", 1, 1, "c"))) == []
    assert MemberFailed in kinds(member.wait(0.01))
    assert (member.core.stats.late_timers, member.core.awareness.score) == (0, score)


def test_a_twin_is_told_of_us_once_a_gossip_interval(member):
    twin = encode("default", "b", 1, [encode_message(Alive("me", 5, 0, "other:1", {}, 0, {}))])
    answers = [sent_to(member.core.handle(twin, "b:1", member.now), "other:1") for _ in range(2)]
    assert answers == [[[member.core._table.me.record]], []]


def test_time_in_a_status_begins_with_its_last_change(member):
    member.hear(alive("y"))
    member.wait(2.0)
    assert member.core.seconds_in_status("y", member.now) == 2.0
    member.hear(Suspect("y", 1, 1, "b"))
    assert member.core.seconds_in_status("y", member.now) == 0.0
    assert member.core.seconds_in_status("nobody", member.now) is None
