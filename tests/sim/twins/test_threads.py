"""Threads: what a program does in threads of its own and in pools, run with real ones and in the simulator."""

import asyncio
import concurrent.futures
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.sim.twins.twin import A_MOMENT, Log, moment, twin


@twin
async def test_a_function_in_a_pool_waits_for_the_loop(log: Log):
    loop = asyncio.get_running_loop()

    async def answer(value):
        await moment()
        return value

    def ask():
        return [asyncio.run_coroutine_threadsafe(answer(value), loop).result() for value in range(3)]

    log("default", await asyncio.to_thread(ask))
    with ThreadPoolExecutor(2) as pool:
        log("pool", await loop.run_in_executor(pool, ask))


@twin
async def test_a_function_gives_up_waiting_for_the_loop(log: Log):
    loop = asyncio.get_running_loop()

    def ask():
        future = asyncio.run_coroutine_threadsafe(asyncio.sleep(10), loop)
        try:
            future.result(A_MOMENT)
        finally:
            future.cancel()

    await log.attempt("thread", "asks", asyncio.to_thread(ask))
    await moment()


@twin
async def test_a_pool_under_a_timeout(log: Log):
    with ThreadPoolExecutor() as pool:
        future = pool.submit(sum, range(10**4))
        log("pool", await asyncio.wait_for(asyncio.wrap_future(future), 10))


@twin
async def test_functions_sleep_side_by_side(log: Log):
    def sleep(seconds):
        time.sleep(seconds)
        log("threads", seconds)

    await asyncio.gather(*(asyncio.to_thread(sleep, seconds) for seconds in (0.2, 0.01, 0.1)))


@twin
async def test_the_loop_goes_on_while_a_function_sleeps(log: Log):
    done = asyncio.ensure_future(asyncio.to_thread(time.sleep, 0.2))
    await asyncio.sleep(0.01)
    log("loop", "goes on", done.done())
    await done
    log("loop", "is told", done.done())


@twin
async def test_a_timeout_ends_the_wait_for_a_function(log: Log):
    ended = threading.Event()

    def work():
        time.sleep(0.2)
        ended.set()

    await log.attempt("loop", "waits", asyncio.wait_for(asyncio.to_thread(work), 0.01))
    log("thread", "goes on", ended.is_set())
    log("thread", "ends", await asyncio.to_thread(ended.wait, 5))


@twin
async def test_a_thread_of_ones_own_answers(log: Log):
    loop = asyncio.get_running_loop()
    answered = loop.create_future()

    def work():
        log("thread", threading.current_thread().name, threading.current_thread() is threading.main_thread())
        time.sleep(A_MOMENT)
        loop.call_soon_threadsafe(answered.set_result, 42)

    thread = threading.Thread(target=work, name="mine")
    log("loop", thread.is_alive())
    thread.start()
    log("loop", await answered)
    thread.join()
    log("loop", thread.is_alive())


@twin
async def test_threads_take_turns_at_a_lock(log: Log):
    for lock in (threading.Lock(), threading.RLock(), threading.Semaphore(1)):
        held = 0

        def work(lock=lock):
            nonlocal held
            with lock:
                held += 1
                log("held by", held)
                time.sleep(0.002)
                held -= 1

        await asyncio.gather(*(asyncio.to_thread(work) for _ in range(4)))


@twin
async def test_the_loop_waits_for_a_lock_that_a_thread_has(log: Log):
    lock, has_it = threading.Lock(), threading.Event()

    def work():
        with lock:
            has_it.set()
            time.sleep(0.1)

    thread = threading.Thread(target=work)
    thread.start()
    has_it.wait()
    log("loop", lock.acquire(blocking=False), lock.acquire(timeout=0.001), lock.locked())
    with lock:
        log("loop", "has it")
    thread.join()


@twin
async def test_locks_that_are_used_wrongly(log: Log):
    lock = threading.Lock()
    log.call("lock", "released", lock.release)
    log.call("lock", "a time and no wait", lock.acquire, False, 1)
    log.call("lock", "a time before now", lock.acquire, True, -2)
    log.call("rlock", "released", threading.RLock().release)
    log.call("condition", "notified", threading.Condition().notify)


@twin
async def test_queues_between_threads_and_the_loop(log: Log):
    for kind in (queue.Queue, queue.SimpleQueue, queue.LifoQueue):
        asked, answered = kind(), kind()

        def work(asked=asked, answered=answered):
            while (question := asked.get()) is not None:
                time.sleep(0.001)
                answered.put(question * 2)

        thread = threading.Thread(target=work)
        thread.start()
        for question in range(3):
            asked.put(question)
            log("loop", await asyncio.to_thread(answered.get))
        log.call("loop", "nothing more", answered.get, True, 0.001)
        log.call("loop", "nothing now", answered.get_nowait)
        asked.put(None)
        thread.join()


@twin
async def test_a_full_queue_holds_up_who_puts(log: Log):
    few = queue.Queue(1)
    putting = asyncio.ensure_future(asyncio.to_thread(lambda: [few.put(number) for number in range(3)]))
    await moment()
    log("loop", putting.done(), few.qsize())
    log("loop", [few.get() for _ in range(3)])
    await putting
    for _ in range(3):
        few.task_done()
    few.join()
    log.call("loop", "once too often", few.task_done)


@twin
async def test_events_conditions_and_barriers(log: Log):
    event, condition, barrier = threading.Event(), threading.Condition(), threading.Barrier(3)
    asyncio.get_running_loop().call_later(0.01, event.set)
    log("event", event.wait(0.001), await asyncio.to_thread(event.wait), event.wait())

    ready = []

    def waits():
        with condition:
            log("condition", condition.wait_for(lambda: bool(ready), 5))

    waiting = asyncio.ensure_future(asyncio.to_thread(waits))
    await moment()
    with condition:
        ready.append(1)
        condition.notify_all()
    await waiting
    met = await asyncio.gather(*(asyncio.to_thread(barrier.wait) for _ in range(3)))
    log("barrier", sorted(met))


@twin
async def test_a_pool_of_one_takes_them_in_order(log: Log):
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, initializer=log, initargs=("pool", "begins")) as pool:
        await asyncio.gather(*(loop.run_in_executor(pool, log, "pool", number) for number in range(4)))
    log.call("loop", "afterwards", pool.submit, print)


@twin
async def test_the_loop_waits_for_what_a_pool_does(log: Log):
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(time.sleep, seconds) for seconds in (0.2, 0.01, 0.1)]
        log("loop", [futures.index(future) for future in concurrent.futures.as_completed(futures)])
        log("loop", list(pool.map(abs, [-1, -2])), pool.submit(pow, 2, 3).result())
        log.call("loop", "too long", pool.submit(time.sleep, 0.1).result, 0.001)
    log("loop", "all done")


@twin
async def test_a_pool_that_is_shut_down_without_waiting(log: Log):
    pool = ThreadPoolExecutor(1)
    begun = threading.Event()
    first, second = pool.submit(lambda: begun.set() or time.sleep(0.05)), pool.submit(log, "pool", "never")
    begun.wait()
    pool.shutdown(wait=False, cancel_futures=True)
    log("loop", second.cancelled(), await asyncio.wrap_future(first))


@twin
async def test_an_executor_of_ones_own_is_asked(log: Log):
    class Own(ThreadPoolExecutor):
        def submit(self, function, /, *args, **options):
            log("executor", function.__name__)
            return super().submit(function, *args, **options)

    class Inline(concurrent.futures.Executor):
        def submit(self, function, /, *args, **options):
            log("inline", function.__name__)
            future: concurrent.futures.Future[object] = concurrent.futures.Future()
            future.set_result(function(*args, **options))
            return future

    loop = asyncio.get_running_loop()
    log("loop", await loop.run_in_executor(Inline(), len, "four"))
    log.call("loop", "an executor of another kind", loop.set_default_executor, Inline())
    loop.set_default_executor(Own(1))
    log("loop", await loop.run_in_executor(None, len, "four"))
    await loop.shutdown_default_executor()
    log.call("loop", "afterwards", loop.run_in_executor, None, len, "")


@twin
async def test_the_end_of_the_default_executor_waits(log: Log):
    loop = asyncio.get_running_loop()
    sleeping = loop.run_in_executor(None, time.sleep, 0.01)
    await loop.shutdown_default_executor()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    log("loop", sleeping.done())


@twin
async def test_a_thread_has_variables_of_its_own(log: Log):
    local = threading.local()
    local.name = "loop"
    both = threading.Barrier(2)

    def work(name):
        before = getattr(local, "name", None)
        local.name = name
        both.wait()
        return before, local.name

    with ThreadPoolExecutor(2) as pool:
        log("threads", *pool.map(work, ("one", "two")))
    log("loop", local.name)


@twin
async def test_a_timer_of_threads(log: Log):
    loop = asyncio.get_running_loop()
    rung = loop.create_future()
    never = threading.Timer(10, log, ("timer", "never"))
    never.start()
    never.cancel()
    threading.Timer(0.004, loop.call_soon_threadsafe, (rung.set_result, "rung")).start()
    log("timer", await rung)
    never.join()


@twin
async def test_what_a_thread_raises_goes_to_the_hook(log: Log):
    before = threading.excepthook
    threading.excepthook = lambda said: log("hook", said.exc_value, said.thread.name)
    try:
        for error in (ZeroDivisionError, SystemExit):
            thread = threading.Thread(target=_raise, args=(error,), name=error.__name__)
            thread.start()
            thread.join()
    finally:
        threading.excepthook = before


def _raise(kind):
    raise kind


@twin
async def test_what_a_thread_refuses(log: Log):
    thread = threading.Thread(target=lambda: log.call("thread", "joins itself", threading.current_thread().join))
    log.call("loop", "joined too early", thread.join)
    thread.start()
    thread.join()
    thread.join()
    log.call("loop", "started twice", thread.start)


@twin
async def test_call_soon_of_a_thread_is_refused_in_debug_mode(log: Log):
    loop = asyncio.get_running_loop()
    if loop.get_debug():
        await asyncio.to_thread(log.call, "thread", "call_soon", loop.call_soon, moment_is_over)
        await asyncio.to_thread(log.call, "thread", "call_later", loop.call_later, 1, moment_is_over)
    log("loop", "done")


def moment_is_over():
    """Nothing."""
