"""The fixture `story`."""

import pytest

from tests.sim.story import Story


@pytest.fixture
def story() -> Story:
    return Story()
