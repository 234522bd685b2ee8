"""One leak of nondeterminism, planted on purpose: a thread that began with the module answers when it gets to it."""

import asyncio
import queue
import threading
import time

questions = queue.Queue()


def work():
    while True:
        answers = questions.get()
        time.sleep(0.02)
        answers.append(time.perf_counter_ns())


threading.Thread(target=work, daemon=True).start()


async def main(node):
    node.ready()
    answers = []
    questions.put(answers)
    # However fast the machine is, two of them never agree on this.
    while not answers:
        node.record("waited", answered=bool(answers))
        await asyncio.sleep(0.001)
    node.record("answered", at=answers[0])
