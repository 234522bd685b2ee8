"""One leak of nondeterminism, planted on purpose: a thread answers when the real machine has got round to it."""

import asyncio
import threading
import time


async def main(node):
    node.ready()
    loop = asyncio.get_running_loop()
    answered = loop.create_future()

    def work():
        time.sleep(0.02)
        loop.call_soon_threadsafe(answered.set_result, time.perf_counter_ns())

    thread = threading.Thread(target=work)
    thread.start()
    for _ in range(100):
        await asyncio.sleep(0.001)
        node.record("waited", answered=answered.done())
    # However fast the machine is, two of them never agree on this.
    thread.join()
    node.record("answered", at=await answered)
