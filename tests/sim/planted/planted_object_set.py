"""One leak of nondeterminism, planted on purpose: a set of plain objects is walked by address."""

import asyncio


class Job:
    def __init__(self, number):
        self.number = number


async def main(node):
    node.ready()
    # So many that they lie in many pools of memory: the order of a few depends on their place in one pool alone, which
    # may be the same twice.
    jobs = {Job(number) for number in range(5000)}
    for job in list(jobs)[:20]:
        await asyncio.sleep(0.1)
        node.record("done", job=job.number)
