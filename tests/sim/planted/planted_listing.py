"""One leak of nondeterminism, planted on purpose: the order in which a directory is listed."""

import os


async def main(node):
    node.ready()
    for name in ("a", "b", "c"):
        (node.directory / name).touch()
    for name in os.listdir(node.directory):
        node.record("loaded", file=name)
