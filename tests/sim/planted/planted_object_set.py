"""One leak of nondeterminism, planted on purpose: a set of plain objects is walked by address."""

import asyncio


class Job:
    def __init__(self, number):
        self.number = number


async def main(node):
    node.ready()
    jobs = {Job(number) for number in range(20)}
    for job in jobs:
        await asyncio.sleep(0.1)
        node.record("done", job=job.number)
