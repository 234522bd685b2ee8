"""Whatever an expectation measures in these tests it has announced."""

import pytest

from sim.scenario.verdict import Expectation


@pytest.fixture(autouse=True)
def measures_only_what_it_announces(monkeypatch):
    judge = Expectation.judge

    def checked(self, context):
        judgement = judge(self, context)
        assert self.MEASURES is None or set(judgement.measured) <= set(self.MEASURES)
        return judgement

    monkeypatch.setattr(Expectation, "judge", checked)
