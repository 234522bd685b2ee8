import asyncio
import concurrent.futures
import contextvars
import functools
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import sim
from tests.sim.twins.twin import Log, Pair, moment, twin


@twin
async def test_call_soon_is_first_come_first_served(log: Log):
    loop = asyncio.get_running_loop()
    for number in range(3):
        loop.call_soon(log, "loop", number)
    loop.call_soon(lambda: loop.call_soon(log, "loop", "next turn"))
    loop.call_soon(log, "loop", "same turn")
    await moment()


@twin
async def test_a_cancelled_handle_is_not_called(log: Log):
    loop = asyncio.get_running_loop()
    handles = [loop.call_soon(log, "loop", 1), loop.call_later(0.001, log, "loop", 2)]
    for handle in handles:
        handle.cancel()
        log("loop", handle.cancelled())
    await moment()


@twin
async def test_timers_run_in_the_order_of_their_times(log: Log):
    loop = asyncio.get_running_loop()
    now = loop.time()
    for delay in (0.003, 0.001, 0.002):
        loop.call_at(now + delay, log, "loop", delay)
    await asyncio.sleep(0.006)


@twin
async def test_timers_of_one_time_all_run_in_one_turn(log: Log):
    loop = asyncio.get_running_loop()
    when = loop.time() + 0.002
    turn = 0

    def tick():
        nonlocal turn
        turn += 1

    seen = []
    for _ in range(5):
        loop.call_at(when, lambda: (seen.append(turn), loop.call_soon(tick)))
    await moment()
    log("loop", len(set(seen)), len(seen))


@twin
async def test_a_timer_in_the_past_runs_in_the_next_turn(log: Log):
    loop = asyncio.get_running_loop()
    loop.call_at(loop.time() - 10, log, "loop", "late")
    loop.call_later(-1, log, "loop", "later")
    loop.call_soon(log, "loop", "soon")
    await moment()


@twin
async def test_what_arrived_comes_before_a_timer_that_is_due(log: Log):
    loop = asyncio.get_running_loop()
    async with Pair(log) as (client, server):
        loop.call_later(0.001, lambda: log("both", "timer", len(server.data)))
        client.transport.write(b"x")
        time.sleep(0.003)  # noqa: ASYNC251 - both are due when it is over
        await moment()


@twin
async def test_a_deadline_that_passed_while_the_loop_was_blocked(log: Log):
    async with Pair(log) as (client, server):
        reader = asyncio.ensure_future(server.received(1))
        client.transport.write(b"x")
        await asyncio.sleep(0)
        time.sleep(0.003)  # noqa: ASYNC251 - the stall
        await log.attempt("server", "in time", asyncio.wait_for(reader, 1))


@twin
async def test_sleep_zero_gives_the_others_one_turn(log: Log):
    async def count(name):
        for number in range(3):
            log("tasks", name, number)
            await asyncio.sleep(0)

    await asyncio.gather(count("a"), count("b"))


@twin
async def test_an_exception_in_a_callback_goes_to_the_handler(log: Log):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: log("handler", sorted(context), context["exception"]))
    loop.call_soon(lambda: 1 / 0)
    loop.call_later(0.001, lambda: 1 / 0)
    await moment()


@twin
async def test_what_the_handler_is_told_of_a_callback(log: Log):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: log("handler", context["message"], sorted(context)))

    def fail(*_):
        raise ValueError

    loop.call_soon(fail)
    loop.call_soon(fail, 1, "two")
    loop.call_soon(functools.partial(fail, 3))
    asyncio.create_task(asyncio.sleep(0)).add_done_callback(fail)
    await moment()
    loop.call_later(0, fail)
    await moment()


@twin
async def test_a_task_tells_in_debug_mode_where_it_was_made(log: Log):
    loop = asyncio.get_running_loop()

    async def nothing():
        pass

    for make in (loop.create_task, asyncio.create_task, asyncio.ensure_future):
        task = make(nothing())
        where = task._source_traceback  # what asyncio's messages print
        log("made", where and (where[-1].filename.rpartition("/")[2], where[-1].name))
        await task


@twin
async def test_an_exception_nobody_asks_for(log: Log):
    async def fail():
        raise ZeroDivisionError

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: log("handler", context["message"], context["exception"]))
    task = asyncio.create_task(fail())
    await moment()
    del task
    await moment()


@twin
async def test_a_task_cancels_itself_and_swallows_it(log: Log):
    async def stubborn():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            log("task", "cancelled", asyncio.current_task().cancelling())
            asyncio.current_task().uncancel()
        return "done"

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    task.cancel("for a reason")
    log("task", await task, task.cancelled())


@twin
async def test_timeouts_nest(log: Log):
    try:
        async with asyncio.timeout(0.05):
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.sleep(10)
            except TimeoutError:
                log("inner", "late")
            await asyncio.sleep(10)
    except TimeoutError:
        log("outer", "late")


@twin
async def test_a_task_group_ends_the_others(log: Log):
    async def wait(name):
        try:
            await asyncio.sleep(10)
        finally:
            log(name, "ended")

    async def fail():
        await asyncio.sleep(0)
        raise ZeroDivisionError

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait("a"))
            group.create_task(wait("b"))
            group.create_task(fail())
    except* ZeroDivisionError as errors:
        log("group", len(errors.exceptions))


@twin
async def test_functions_in_the_executor(log: Log):
    loop = asyncio.get_running_loop()
    log("executor", await loop.run_in_executor(None, pow, 2, 10))
    log("executor", await asyncio.to_thread(sum, [1, 2, 3]))
    await log.attempt("executor", "fails", asyncio.to_thread(lambda: 1 / 0))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        log("executor", await loop.run_in_executor(pool, len, "four"))


@twin
async def test_no_loop_runs_where_the_executor_calls_a_function(log: Log):
    def function():
        log.call("executor", "running loop", asyncio.get_running_loop)
        log.call("executor", "current task", asyncio.current_task)

    await asyncio.to_thread(function)
    log("loop", asyncio.current_task() is not None)


@twin
async def test_what_the_executor_refuses(log: Log):
    loop = asyncio.get_running_loop()

    async def coroutine():
        pass

    if loop.get_debug():
        log.call("loop", "coroutine function", loop.run_in_executor, None, coroutine)
    executor = ThreadPoolExecutor(1)
    log("loop", await loop.run_in_executor(executor, len, "four"))
    executor.shutdown()
    log.call("loop", "an executor that was shut down", loop.run_in_executor, executor, len, "")
    await loop.shutdown_default_executor()
    log.call("loop", "the default one after its end", loop.run_in_executor, None, len, "")


@twin
async def test_the_executor_sees_the_context(log: Log):
    name = contextvars.ContextVar("name", default="nobody")
    name.set("somebody")
    log("thread", await asyncio.to_thread(name.get))
    log("bare", await asyncio.get_running_loop().run_in_executor(None, name.get))


@twin
async def test_callbacks_keep_their_context(log: Log):
    loop = asyncio.get_running_loop()
    name = contextvars.ContextVar("name", default="nobody")
    context = contextvars.copy_context()
    context.run(name.set, "somebody")
    loop.call_soon(lambda: log("callback", name.get()), context=context)
    loop.call_later(0.001, lambda: log("timer", name.get()), context=context)
    await asyncio.create_task(asyncio.sleep(0.003), context=context)


@twin
async def test_call_soon_threadsafe(log: Log):
    loop = asyncio.get_running_loop()
    loop.call_soon_threadsafe(log, "loop", "called")
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@twin
async def test_a_coroutine_of_another_thread(log: Log):
    loop = asyncio.get_running_loop()

    async def answer():
        return 42

    future = asyncio.run_coroutine_threadsafe(answer(), loop)
    log("test", await asyncio.wrap_future(future))


@twin
async def test_an_async_generator_let_go_of_is_closed(log: Log):
    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            log("generator", "closed")

    async for number in numbers():
        log("generator", number)
        break
    await moment()


@twin
async def test_debug_mode(log: Log):
    loop = asyncio.get_running_loop()
    log("loop", loop.get_debug())
    loop.set_debug(True)
    log("loop", loop.get_debug())
    log.call("loop", "a coroutine function as a callback", loop.call_soon, moment)
    loop.set_debug(False)


@twin
async def test_what_a_loop_in_use_refuses(log: Log):
    loop = asyncio.get_running_loop()
    log("loop", loop.is_running(), loop.is_closed())
    log.call("loop", "close", loop.close)
    coroutine = moment()
    try:
        asyncio.run(coroutine)
    except RuntimeError:  # a node's says what to do instead
        log("loop", "asyncio.run")
    coroutine.close()
    log.call("loop", "call_soon", loop.call_soon, None)
    await log.attempt("loop", "wait for nothing", asyncio.wait([]))


@twin
async def test_tasks_have_names_and_are_listed(log: Log):
    task = asyncio.create_task(moment(), name="mine")
    log("test", task.get_name(), task in asyncio.all_tasks(), len(asyncio.all_tasks()))
    await task
    log("test", len(asyncio.all_tasks()), asyncio.current_task() in asyncio.all_tasks())


@twin
async def test_bytes_that_arrive_wake_the_reader_before_later_callbacks_of_the_next_turn(log: Log):
    async with Pair(log) as (client, server):
        loop = asyncio.get_running_loop()
        client.transport.write(b"x")
        loop.call_soon(lambda: log("both", "this turn", len(server.data)))
        loop.call_soon(lambda: loop.call_soon(lambda: loop.call_soon(lambda: log("both", "later", len(server.data)))))
        await moment()


def test_sigterm_is_delivered_to_the_handler_as_a_real_one_is():
    """Not one program in two worlds, as somebody else must send the signal: os.kill there, node.stop here."""

    async def main(log, ask):
        loop = asyncio.get_running_loop()
        heard = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, lambda: (log("handler", "called"), heard.set()))
        ask()
        await heard.wait()
        log("loop", loop.remove_signal_handler(signal.SIGTERM), loop.remove_signal_handler(signal.SIGTERM))

    real, simulated = Log(), Log()
    asyncio.run(main(real, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    with sim.Simulation() as simulation:
        node = simulation.add_node("main")
        simulation.run_until_complete(node.start(main, simulated, node.stop))
    assert simulated.events == real.events != {}


@twin
async def test_signals_that_a_program_sends_itself(log: Log):
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, log, "handler", "of the loop")
    for send in (lambda: os.kill(os.getpid(), signal.SIGUSR1), lambda: signal.raise_signal(signal.SIGUSR1)):
        send()
        await moment()
    loop.remove_signal_handler(signal.SIGUSR1)
    log("before", signal.signal(signal.SIGUSR1, lambda number, _: log("handler", "its own", number)))
    signal.raise_signal(signal.SIGUSR1)
    log("handler", "is called at once")
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    os.kill(os.getpid(), signal.SIGUSR1)
    log("before", signal.getsignal(signal.SIGUSR1), signal.signal(signal.SIGUSR1, signal.SIG_DFL))
    for what, number in (("nothing", 0), ("no signal", 999)):
        log.call("kill", what, os.kill, os.getpid(), number)
    log.call("kill", "nobody", os.kill, 99_999_999, signal.SIGTERM)


@twin
async def test_a_signal_handler_over_the_loops_own_and_back(log: Log):
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, log, "handler", "of the loop")
    before = signal.signal(signal.SIGUSR1, lambda *_: log("handler", "its own"))
    log("before", callable(before))
    for handler in (None, before, signal.SIG_IGN):
        if handler is not None:
            signal.signal(signal.SIGUSR1, handler)
        signal.raise_signal(signal.SIGUSR1)
        await moment()
        log("raised", str(handler)[:7])
    log("loop", loop.remove_signal_handler(signal.SIGUSR1), signal.getsignal(signal.SIGUSR1))


@twin
async def test_signals_that_nobody_can_handle(log: Log):
    loop = asyncio.get_running_loop()

    async def coroutine():
        pass

    for what, number in (("kill", signal.SIGKILL), ("no signal", 999), ("text", "SIGTERM")):
        log.call("loop", what, loop.add_signal_handler, number, print)
        log.call("signal", what, signal.signal, number, print)
    log.call("loop", "coroutine function", loop.add_signal_handler, signal.SIGUSR1, coroutine)
    log.call("loop", "remove", loop.remove_signal_handler, 999)
    log.call("signal", "nothing to call", signal.signal, signal.SIGUSR1, None)
    log.call("signal", "get", signal.getsignal, 999)
    log.call("signal", "raise", signal.raise_signal, 999)


@twin
async def test_time_passes_while_a_program_works(log: Log):
    loop = asyncio.get_running_loop()
    fired = asyncio.Event()
    loop.call_later(0.05, fired.set)
    while not fired.is_set():  # noqa: ASYNC110
        await asyncio.sleep(0)
    log("polled", "a timer")
    end = time.monotonic() + 0.02
    while time.monotonic() < end:
        pass
    log("spun", "on the clock")
