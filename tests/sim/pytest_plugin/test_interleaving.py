"""The marker's interleaving, and the command line's: a race is found, replayed, and the choice that mattered told."""

pytest_plugins = ["pytester"]

RACE = """
@pytest.mark.simulated(seeds=20{more})
async def test_one_seat_is_sold_once():
    buyers = []

    async def buy(number):
        for _ in range(2 * number):
            await asyncio.sleep(0)
        if not buyers:
            await asyncio.sleep(0)
            buyers.append(number)

    await asyncio.gather(*(buy(number) for number in range(5)))
    assert len(buyers) == 1
"""


def test_the_markers_interleaving_finds_a_race_and_its_command_replays_it(run, pytester):
    run(RACE.format(more="")).assert_outcomes(passed=20)
    result = run(RACE.format(more=', interleaving="random"'))
    counts = result.parseoutcomes()
    assert 2 <= counts["failed"] <= 18
    command = next(line for line in result.outlines if line.startswith("run it again: pytest "))
    assert command.endswith("--sim-interleaving random")
    words = command.removeprefix("run it again: pytest ").split()
    pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:cacheprovider", *words).assert_outcomes(failed=1)


def test_a_failing_seed_tells_the_choice_that_no_passing_one_made(run):
    result = run(RACE.format(more=', interleaving="random"'))
    result.stdout.fnmatch_lines(["*the last choice*did not make*chosen*buy (test_it.py:*"])


def test_the_command_lines_interleaving_holds_for_all_marked_tests(run):
    assert run(RACE.format(more=""), "--sim-interleaving", "random").parseoutcomes()["failed"] >= 2
    run(RACE.format(more=', interleaving="random"'), "--sim-interleaving", "fifo").assert_outcomes(passed=20)
