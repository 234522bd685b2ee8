"""One leak of nondeterminism, planted on purpose: a thread that began with the module answers into the node's loop."""

import asyncio
import queue
import threading

questions = queue.Queue()


def work():
    while True:
        loop, future = questions.get()
        loop.call_soon_threadsafe(future.set_result, 42)


threading.Thread(target=work, name="answering", daemon=True).start()


async def main(node):
    node.ready()
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    questions.put((loop, future))
    # Else nothing is scheduled, and the run is over before the thread has looked.
    for _ in range(100_000):
        await asyncio.sleep(0.00001)
    node.record("answered", with_=await future)
