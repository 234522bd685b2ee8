"""One leak of nondeterminism, planted on purpose: a real socket, made at import, has the port that Linux chose."""

import socket

LISTENING = socket.socket()
LISTENING.bind(("127.0.0.1", 0))
PORT = LISTENING.getsockname()[1]
LISTENING.close()


async def main(node):
    node.ready()
    node.record("listening", port=PORT)
