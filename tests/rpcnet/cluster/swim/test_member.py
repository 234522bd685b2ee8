"""Which of two claims wins."""

from hypothesis import given
from hypothesis import strategies as st

from rpcnet.cluster.swim.member import ALIVE, DEAD, LEFT, SUSPECT, Claim, Member, MemberStatus, supersedes

claims = st.builds(Claim, st.integers(0, 2), st.integers(0, 3), st.sampled_from([ALIVE, SUSPECT, DEAD, LEFT]))


def test_the_papers_table_of_precedence():
    """SWIM §4.2, for one run; i is the new claim's incarnation, j the held one's."""
    assert supersedes(Claim(1, 2, ALIVE), Claim(1, 1, SUSPECT))
    assert supersedes(Claim(1, 2, ALIVE), Claim(1, 1, ALIVE))
    assert not supersedes(Claim(1, 1, ALIVE), Claim(1, 1, SUSPECT))
    assert supersedes(Claim(1, 2, SUSPECT), Claim(1, 1, SUSPECT))
    assert supersedes(Claim(1, 1, SUSPECT), Claim(1, 1, ALIVE))
    assert supersedes(Claim(1, 1, DEAD), Claim(1, 1, ALIVE))
    assert supersedes(Claim(1, 1, DEAD), Claim(1, 1, SUSPECT))
    assert not supersedes(Claim(1, 0, SUSPECT), Claim(1, 1, ALIVE))


def test_a_newer_run_wins_over_everything_of_an_older_one():
    assert supersedes(Claim(2, 0, ALIVE), Claim(1, 99, LEFT))


def test_what_left_cannot_be_declared_dead():
    assert not supersedes(Claim(1, 1, DEAD), Claim(1, 1, LEFT))


@given(claims, claims)
def test_of_two_different_claims_exactly_one_wins(one, other):
    assert supersedes(one, other) + supersedes(other, one) == (one != other)


@given(st.lists(claims, min_size=1), st.randoms())
def test_the_order_of_arrival_does_not_matter(heard, random):
    def fold(sequence):
        held = sequence[0]
        for claim in sequence[1:]:
            held = claim if supersedes(claim, held) else held
        return held

    shuffled = list(heard)
    random.shuffle(shuffled)
    assert fold(heard) == fold(shuffled)


def test_a_member_matches_tags_that_it_carries_all_of():
    member = Member("x", 1, 0, MemberStatus.ALIVE, "x:1", tags={"role": "worker", "zone": "a"})
    assert member.matches({})
    assert member.matches({"role": "worker"})
    assert member.matches({"role": "worker", "zone": "a"})
    assert not member.matches({"role": "worker", "zone": "b"})
    assert not member.matches({"label": "a"})
