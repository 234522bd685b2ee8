"""One leak of nondeterminism, planted on purpose: a set of text is walked in hash order."""

import asyncio

PEERS = {"alpha", "bravo", "charlie", "delta", "echo"}


async def main(node):
    node.ready()
    for peer in PEERS:
        await asyncio.sleep(0.1)
        node.record("greeted", peer=peer)
