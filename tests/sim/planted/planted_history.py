"""One leak of nondeterminism, planted on purpose: a module counts on from run to run."""

runs = 0


async def main(node):
    global runs
    node.ready()
    runs += 1
    node.record("began", runs=runs)
