import math

import pytest
import simpy
from simpy.core import EmptySchedule

from sim.network.environment import Environment
from sim.network.schedule import Schedule


def test_simpys_processes_run_between_calls_and_a_failing_one_raises():
    schedule, seen = Schedule(), []
    environment = Environment(schedule)
    for when in (1.0, 3.0):
        schedule.at(when, seen.append, (when, "call"))

    def process():
        yield environment.timeout(2.0)
        seen.append((environment.now, "process"))
        yield environment.timeout(2.0)
        raise KeyError("broken")

    environment.process(process())
    with pytest.raises(KeyError, match="broken"):
        environment.run()
    assert seen == [(1.0, "call"), (2.0, "process"), (3.0, "call")]


def test_simpys_run_stops_at_its_time_and_at_an_event():
    schedule, seen = Schedule(), []
    environment = Environment(schedule)
    for when in (1.0, 2.0, 3.0):
        schedule.at(when, seen.append, when)
    environment.run(until=1.5)
    assert (schedule.now, seen) == (1.5, [1.0])
    event = environment.event()
    schedule.at(2.5, lambda _: event.succeed("done"), None)
    assert environment.run(until=event) == "done"
    assert schedule.now == 2.5


def test_simpys_resources_wait_in_the_time_of_the_schedule():
    schedule, seen = Schedule(), []
    environment = Environment(schedule)
    resource = simpy.Resource(environment)

    def use(name):
        with resource.request() as mine:
            yield mine
            yield environment.timeout(2.0)
            seen.append((schedule.now, name))

    for name in ("first", "second"):
        environment.process(use(name))
    environment.run()
    assert seen == [(2.0, "first"), (4.0, "second")]


def test_it_peeks_and_steps_as_the_schedule_does():
    schedule, seen = Schedule(), []
    environment = Environment(schedule)
    assert environment.peek() == math.inf
    with pytest.raises(EmptySchedule):
        environment.step()
    schedule.at(1.0, seen.append, "call")
    assert environment.peek() == 1.0
    environment.step()
    assert (seen, environment.now) == (["call"], 1.0)
