"""What expectations are given, and what all of them share."""

from typing import ClassVar

import pytest

from sim.scenario.expect import EXPECTATIONS
from sim.scenario.expect.calls import Calls
from sim.scenario.expect.converged import Converged
from sim.scenario.expect.logged import Logged
from sim.scenario.expect.no_leaks import NoLeaks
from sim.scenario.expect.sequence import Numbers, Sequence
from sim.scenario.verdict import Context, Expectation, ExpectationError, Verdict


class Fixed(Expectation, frozen=True, kw_only=True):
    """Holds, having measured something."""

    KEY: ClassVar[str] = "fixed"
    MEASURES: ClassVar[tuple[str, ...] | None] = ("delay", "never")

    fixed: str

    def examine(self, context):
        return self.answer(Verdict.HOLDS, "all is well", measured={"delay": 2.0})


def test_the_title_is_the_key_and_its_value_where_that_is_text():
    assert Fixed(fixed="worker-1").title == "fixed worker-1"
    assert Converged(converged=True).title == "converged"


@pytest.mark.parametrize(
    ("limit", "slack", "verdict"), [(2.0, 1.0, Verdict.HOLDS), (1.9, 1.0, Verdict.FAILS), (1.9, 3.0, Verdict.HOLDS)]
)
def test_max_limits_a_measured_figure_and_slack_widens_it(story, limit, slack, verdict):
    judgement = Fixed(fixed="x", max={"delay": limit}).judge(story.context(slack=slack))
    assert judgement.verdict is verdict
    assert judgement.saw.endswith("all is well")


def test_max_of_what_was_not_measured_is_inconclusive(story):
    judgement = Fixed(fixed="x", max={"never": 1.0}).judge(story.context())
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.saw == "never was not measured; measured was delay"


def test_max_of_what_is_never_measured_is_refused_before_the_run(story):
    with pytest.raises(ExpectationError, match='does not measure "dealy"; did you mean "delay"') as caught:
        Fixed(fixed="x", max={"dealy": 1.0}).check((), story.select)
    assert (caught.value.key, caught.value.allowed) == ("max", ("delay", "never"))
    Fixed(fixed="x", max={"delay": 1.0}).check((), story.select)


@pytest.mark.parametrize(
    ("expectation", "text"),
    [
        (Sequence(sequence=Numbers(event="token", gaps=-1)), "gaps"),
        (Calls(calls="all", min_success=99.0), "min_success is a share"),
        (Logged(logged="x", min=2, max_count=1), "max_count = 1 is below min = 2"),
        (NoLeaks(no_leaks=False), "no_leaks = false expects nothing"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_run(story, expectation, text):
    with pytest.raises(ExpectationError, match=text):
        expectation.check((), story.select)


def test_a_context_is_read_from_a_file_as_from_a_list_with_times_shifted(story, tmp_path):
    story.start("a").at(0.0, "", "zero")
    assert list(story.written(tmp_path / "trace")) == [
        event._replace(fields={k: v if k != "labels" else {} for k, v in event.fields.items()})
        for event in story.context()
    ]


def test_a_context_is_read_once_for_all_expectations(story):
    context = story.cluster("a", "b").context()
    assert context.history is context.history
    assert isinstance(context, Context)


@pytest.mark.parametrize("kind", EXPECTATIONS.values())
def test_every_expectation_names_its_fields(kind):
    assert kind.KEY in kind.__struct_fields__
    assert set(kind.SELECTORS) <= set(kind.__struct_fields__)
    assert kind.__doc__
