import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.gate
LEAKY = Path(__file__).with_name("leaky.py")
ROOT = Path(__file__).parents[3]


def digest_in_a_process(seed, *flags, **environment):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        [sys.executable, *flags, str(LEAKY), str(seed)], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def digest_here(seed):
    spec = importlib.util.spec_from_file_location("leaky", LEAKY)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main(seed)


def test_the_same_seed_gives_the_same_digest_whatever_the_process():
    reference = digest_in_a_process(1, PYTHONHASHSEED="1")
    assert digest_in_a_process(1, PYTHONHASHSEED="2") == reference
    assert digest_in_a_process(1, "-O", PYTHONHASHSEED="3", TZ="Asia/Tokyo", LC_ALL="C") == reference
    assert digest_in_a_process(1, PYTHONASYNCIODEBUG="1") == reference


def test_the_same_seed_gives_the_same_digest_whatever_ran_before():
    first = digest_here(1)
    digest_here(2)
    assert digest_here(1) == first


def test_another_seed_gives_another_digest():
    assert len({digest_here(seed) for seed in range(4)}) == 4
