"""What others had swapped when the first simulation came, and put back later: simulations go on to answer.

In processes of their own, as the first simulation of this one has been.
"""

import pytest

from tests.sim.kernel.patches.test_rebind import outcome

PATCHED = """
import asyncio, json, os, socket, tempfile, time

asked = []

def wrapped(function):
    def wrapper(*args, **options):
        asked.append(wrapper)
        return function(*args, **options)
    return wrapper

class Patched:
    "What a tool does that watches calls, around a test."
    def __enter__(self):
        self.kept = [(owner, name, getattr(owner, name)) for owner, name in WATCHED]
        for owner, name, function in self.kept:
            setattr(owner, name, wrapped(function))
    def __exit__(self, *_):
        for owner, name, function in self.kept:
            setattr(owner, name, function)

WATCHED = [(time, "sleep"), (socket, "getaddrinfo"), (socket.socket, "connect"), (os, "stat"), (os, "unlink")]

async def main():
    time.sleep(2.0)
    path = os.path.join(tempfile.mkdtemp(), "socket")
    async with await asyncio.start_unix_server(lambda reader, writer: writer.close(), path):
        found = os.stat(path).st_mode
        reader, writer = await asyncio.open_unix_connection(path)
        writer.close()
    sock = socket.socket()
    sock.setblocking(False)
    async with await asyncio.start_server(lambda reader, writer: writer.close(), "main", 80):
        await asyncio.get_running_loop().sock_connect(sock, ("main", 80))
        return time.monotonic(), found, sock.getpeername()

import sim
"""


@pytest.mark.parametrize("around_the_second", [False, True])
def test_patched_before_the_first_simulation_and_put_back(around_the_second):
    second = "with Patched(): " if around_the_second else ""
    told = outcome(f"""{PATCHED}
with Patched():
    first = sim.run(main())
{second}again = sim.run(main())
asked.clear()
third = sim.run(main())
print(json.dumps([first == again == third, len(asked)]))
""")
    assert told == [True, 0]


def test_what_was_put_there_is_asked():
    told = outcome(f"""{PATCHED}
sim.run(main())
with Patched():
    sim.run(main())
print(json.dumps(len(asked) > 4))
""")
    assert told is True


def test_undo_puts_back_what_stands_there_without_the_tool():
    told = outcome(f"""{PATCHED}
before = [vars(owner).get(name) or getattr(owner, name) for owner, name in WATCHED]
with Patched():
    sim.run(main())
sim.run(main())
from sim.kernel import patches
patches.undo()
print(json.dumps([getattr(owner, name).__name__ for owner, name in WATCHED]))
""")
    assert told == ["sleep", "getaddrinfo", "connect", "stat", "unlink"]
