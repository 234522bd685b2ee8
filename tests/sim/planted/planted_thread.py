"""One leak of nondeterminism, planted on purpose: a thread answers when the real machine has got round to it."""

import asyncio
import threading
import time


async def main(node):
    node.ready()
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def work():
        time.sleep(0.02)
        loop.call_soon_threadsafe(done.set)

    threading.Thread(target=work).start()
    while not done.is_set():
        await asyncio.sleep(0.001)
        node.record("waited")
