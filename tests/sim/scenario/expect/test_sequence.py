"""sequence: numbers count up by one."""

from hypothesis import given
from hypothesis import strategies as st

from sim.scenario.expect.sequence import Numbers, Sequence
from sim.scenario.verdict import Context, Verdict
from sim.trace import Event


def run(*tokens):
    """Tokens are (stream, index), recorded by the client one after the other."""
    events = [
        Event(n, float(n), "client", "token", 0, {"stream": stream, "index": index})
        for n, (stream, index) in enumerate(tokens, 1)
    ]
    return Context(events, select=lambda _: [], duration=1000.0)


def judged(*tokens, **numbers):
    return Sequence(sequence=Numbers(event="token", **({"by": "stream"} | numbers))).judge(run(*tokens))


def test_holds_for_sequences_that_count_up_side_by_side():
    judgement = judged((1, 0), (2, 7), (1, 1), (2, 8), (1, 2))
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.name == "sequence token"
    assert judgement.saw == "0 gaps and 0 repeats in 5 numbers of 2 sequences"
    assert judgement.measured == {"gaps": 0, "repeats": 0, "count": 5, "sequences": 2}


def test_a_gap_fails_at_its_line():
    judgement = judged((1, 0), (1, 1), (1, 4), (1, 5))
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == (
        "the index of stream 1 of client went from 1 to 4 at 3 s; 2 gaps and 0 repeats in 4 numbers (allowed: 0 and 0)"
    )
    assert judgement.line == 3


def test_a_repeat_fails_at_its_line():
    judgement = judged((1, 0), (1, 1), (1, 1), (1, 2))
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw.startswith("the index of stream 1 of client came to 1 after 1 at 3 s; 0 gaps and 1 repeat ")
    assert judgement.line == 3


def test_so_many_gaps_and_repeats_are_allowed():
    assert judged((1, 0), (1, 2), (1, 2), gaps=1, repeats=1).verdict is Verdict.HOLDS
    assert judged((1, 0), (1, 3), (1, 3), gaps=1, repeats=1).verdict is Verdict.FAILS


def test_what_each_begins_with_may_be_asked():
    assert judged((1, 1), (1, 2)).verdict is Verdict.HOLDS
    judgement = judged((1, 1), (1, 2), first=0)
    assert judgement.verdict is Verdict.FAILS
    assert judgement.measured["gaps"] == 1


def test_each_node_counts_for_itself():
    events = [Event(n, 0.0, node, "token", 0, {"index": 0}) for n, node in enumerate(("a", "b"), 1)]
    context = Context(events, select=lambda _: [], duration=1.0)
    assert Sequence(sequence=Numbers(event="token")).judge(context).verdict is Verdict.HOLDS


def test_an_event_without_the_number_fails():
    judgement = judged((1, 0), (1, None))
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == 'client recorded "token" without a whole number "index": None'
    assert judgement.line == 2


def test_no_such_event_is_inconclusive():
    judgement = judged()
    assert (judgement.verdict, judgement.saw) == (Verdict.INCONCLUSIVE, 'nobody recorded "token"')


@given(st.lists(st.integers(0, 30), min_size=1))
def test_it_counts_what_was_left_out_and_what_came_again(indices):
    judgement = judged(*((1, index) for index in indices))
    above = [index for n, index in enumerate(indices) if index > max(indices[:n], default=-1)]
    assert judgement.measured["repeats"] == len(indices) - len(above)
    assert judgement.measured["gaps"] == above[-1] - above[0] + 1 - len(above)
    assert (judgement.verdict is Verdict.HOLDS) == (indices == list(range(indices[0], indices[0] + len(indices))))


@given(st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.integers(0, 9))))
def test_sequences_do_not_touch_each_other(tokens):
    apart = [judged(*((s, i) for s, i in tokens if s == stream)) for stream in (1, 2, 3)]
    together = judged(*tokens)
    for figure in ("gaps", "repeats", "count"):
        assert together.measured[figure] == sum(one.measured[figure] for one in apart)
