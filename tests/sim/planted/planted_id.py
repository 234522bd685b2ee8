"""One leak of nondeterminism, planted on purpose: an address in memory as the name of something."""


async def main(node):
    node.ready()
    node.record("opened", session=id(node))
