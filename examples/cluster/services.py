"""What the director and a worker do. `generated/` is written from these classes by `rpcnet-gen`."""

import asyncio
from collections.abc import AsyncIterator

from rpcnet import Unavailable, Watch, service

from .messages import Prompt, Token, WorkerFound


@service
class Director:
    def __init__(self, workers: Watch) -> None:
        self.workers = workers
        self.asked = 0

    async def get_worker(self, avoid: list[str]) -> WorkerFound:
        """A worker that lives now, each in its turn, but for those that this client lost (it knows first)."""
        workers = [worker for worker in self.workers.members if worker.name not in avoid]
        if not workers:
            raise Unavailable("no worker lives but those that this client wants to avoid; ask again in a moment")
        self.asked += 1
        worker = workers[self.asked % len(workers)]
        return WorkerFound(name=worker.name, address=worker.services["rpc"])


@service
class Worker:
    def __init__(self, seconds_per_token: float) -> None:
        self.seconds_per_token = seconds_per_token

    async def generate(self, prompts: AsyncIterator[Prompt]) -> AsyncIterator[Token]:
        async for prompt in prompts:
            words = prompt.text.split()
            for index in range(prompt.start, prompt.start + prompt.count):
                await asyncio.sleep(self.seconds_per_token)
                yield Token(index=index, text=words[index % len(words)])
