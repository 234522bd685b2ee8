"""What the suites of other projects are judged by."""

import json

import pytest

from benchmarks.suites import __main__ as suites


@pytest.mark.parametrize(
    ("outcome", "refused", "text", "kind"),
    [
        ("passed", False, "", "same"),
        ("failed", True, "call: NotSimulated: no pipes", "refused"),
        ("failed", True, "call: Deadlock: nothing is scheduled", "hangs"),
        ("failed", False, "call: AssertionError: 1 != 2", "deviates"),
        ("skipped", False, "", "deviates"),
        ("hung", True, "call: Hung: the time limit", "hangs"),
    ],
)
def test_each_outcome_has_one_kind(outcome, refused, text, kind):
    assert suites.judged({"outcome": outcome, "refused": refused, "text": text})[0] == kind


def test_a_test_that_was_not_run_deviates():
    assert suites.judged(None)[0] == "deviates"


def test_results_tell_which_test_did_not_end(tmp_path):
    told = tmp_path / "told.jsonl"
    lines = [{"begins": "a"}, {"test": "a", "outcome": "passed"}, {"begins": "b"}]
    told.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ended, begun = suites.results(told)
    assert list(ended) == ["a"]
    assert begun == "b"
