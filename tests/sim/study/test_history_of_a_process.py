"""A run neither sees nor keeps the runs that its process did before: a sweep does thousands in each."""

import gc

from sim.kernel.simulation import Simulation


def test_the_digest_does_not_depend_on_what_ran_before(draws, tmp_path):
    # With a trace of its own nothing else asks tempfile for a name between the runs.
    digests = {draws().run(seed=1, trace=tmp_path / "trace").digest for _ in range(3)}
    assert digests == {draws().run(seed=1).digest}


def test_nothing_of_a_run_is_kept_when_it_is_over(draws, tmp_path):
    scenario = draws()
    for seed in range(1000, 1003):
        scenario.run(seed=seed, trace=tmp_path / "trace")
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is Simulation and 1000 <= thing.seed < 1003]
