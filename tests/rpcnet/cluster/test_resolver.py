"""Where an address is: names with several addresses, names that move, look-ups that fail."""

import asyncio
import socket

import pytest

import sim
from rpcnet.cluster.resolver import FIRST_BELIEF, LONGEST_BELIEF, Resolver


class Names:
    """Look-ups of the running loop, answered from a table and counted."""

    def __init__(self, **table):
        self.table, self.asked = table, 0
        asyncio.get_running_loop().getaddrinfo = self

    async def __call__(self, host, port, **_):
        self.asked += 1
        await asyncio.sleep(0.001)
        if host not in self.table:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        families = [socket.AF_INET6 if ":" in each else socket.AF_INET for each in self.table[host]]
        return [
            (family, socket.SOCK_STREAM, 6, "", (each, port))
            for family, each in zip(families, self.table[host], strict=True)
        ]


def run(main):
    return sim.run(main(), seed=1)


@pytest.mark.parametrize("address", ["127.0.0.1:7", "[::1]:7"])
def test_a_literal_is_itself_and_never_looked_up(address):
    async def main():
        names, resolver = Names(), Resolver(10)
        assert resolver.known(address) == await resolver.find(address) == ((address[:-2].strip("[]"), 7),)
        resolver.doubt(address)
        await asyncio.sleep(100)
        assert resolver.known(address) == ((address[:-2].strip("[]"), 7),)
        assert names.asked == 0

    run(main)


def test_a_name_gives_all_its_addresses_families_in_turns():
    async def main():
        Names(a=["10.0.0.1", "10.0.0.2", "fd00::1"])
        resolver = Resolver(10)
        assert resolver.known("a:7") == [], "not known yet, but asked for"
        assert await resolver.find("a:7") == [("10.0.0.1", 7), ("fd00::1", 7), ("10.0.0.2", 7)]
        assert resolver.known("a:7") == await resolver.find("a:7")

    run(main)


def test_only_loopback_is_found_where_nothing_else_may_be(caplog):
    async def main():
        Names(here=["10.0.0.1", "127.0.0.1", "::1"], there=["10.0.0.2"])
        resolver = Resolver(10, only_loopback=True)
        assert await resolver.find("here:7") == [("::1", 7), ("127.0.0.1", 7)]
        for address in ("there:7", "10.0.0.1:7"):
            with pytest.raises(OSError, match="has no address"):
                await resolver.find(address)
            assert resolver.known(address) == []
        assert resolver.known("127.0.0.9:7") == [("127.0.0.9", 7)]

    run(main)
    assert [record.args[0] for record in caplog.records] == ["there:7", "10.0.0.1:7"]


def test_the_address_that_answered_stays_first_after_the_next_look_up():
    async def main():
        names, resolver = Names(a=["10.0.0.1", "10.0.0.2"]), Resolver(10)
        await resolver.find("a:7")
        resolver.answered("a:7", ("10.0.0.2", 7))
        names.table["a"].append("10.0.0.3")
        await asyncio.sleep(LONGEST_BELIEF)
        assert await resolver.find("a:7") == [("10.0.0.2", 7), ("10.0.0.1", 7), ("10.0.0.3", 7)]
        resolver.answered("a:7", ("10.9.9.9", 7))
        assert resolver.known("a:7")[0] == ("10.0.0.2", 7), "one that is none of its addresses changes nothing"

    run(main)


def test_a_name_is_looked_up_less_and_less_often_until_it_is_doubted():
    async def main():
        names, resolver = Names(a=["10.0.0.1"]), Resolver(10)
        for _ in range(1000):
            resolver.known("a:7")
            await asyncio.sleep(0.1)
        assert names.asked == 8, "at once, after 1, 2, 4, 8, 16, 30 … seconds"
        for _ in range(100):
            resolver.doubt("a:7")
            await asyncio.sleep(0.1)
        assert names.asked <= 8 + 10 / FIRST_BELIEF + 1, "doubts do not flood the name server"

    run(main)


def test_a_doubted_name_that_moved_is_known_at_its_new_address():
    async def main():
        names, resolver = Names(a=["10.0.0.1"]), Resolver(10)
        await resolver.find("a:7")
        await asyncio.sleep(FIRST_BELIEF)
        await resolver.find("a:7")
        names.table["a"] = ["10.0.0.2"]
        await asyncio.sleep(FIRST_BELIEF)
        assert await resolver.find("a:7") == [("10.0.0.1", 7)], "believed for 2 s by now"
        resolver.doubt("a:7")
        assert resolver.known("a:7") == [("10.0.0.1", 7)], "used while it is looked up"
        await asyncio.sleep(0.01)
        assert resolver.known("a:7") == [("10.0.0.2", 7)]

    run(main)


def test_a_doubted_name_with_several_addresses_gives_each_its_turn():
    async def main():
        Names(a=["10.0.0.1", "10.0.0.2", "10.0.0.3"])
        resolver = Resolver(10)
        await resolver.find("a:7")
        first = []
        for _ in range(3):
            resolver.doubt("a:7")
            first.append(resolver.known("a:7")[0][0])
        assert sorted(first) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]

    run(main)


def test_a_look_up_that_fails_keeps_what_was_known():
    async def main():
        names, resolver = Names(a=["10.0.0.1"]), Resolver(10)
        await resolver.find("a:7")
        names.table.clear()
        await asyncio.sleep(100)
        assert await resolver.find("a:7") == [("10.0.0.1", 7)]
        with pytest.raises(OSError, match="b:7 has no address"):
            await resolver.find("b:7")
        names.table["b"] = ["10.0.0.5"]
        await asyncio.sleep(FIRST_BELIEF)
        assert await resolver.find("b:7") == [("10.0.0.5", 7)]

    run(main)


@pytest.mark.parametrize("address", ["no address", "host:99999", "ü" * 300 + ":1"])
def test_text_that_is_no_address_is_never_found(address):
    async def main():
        resolver = Resolver(10)
        assert list(resolver.known(address)) == []
        with pytest.raises(OSError, match="has no address"):
            await resolver.find(address)

    run(main)


def test_closing_ends_the_look_ups_under_way():
    async def main():
        names, resolver = Names(a=["10.0.0.1"]), Resolver(10)
        finding = asyncio.create_task(resolver.find("a:7"))
        await asyncio.sleep(0)
        await resolver.close()
        with pytest.raises(OSError, match="has no address"):
            await finding
        resolver.known("b:7")
        await asyncio.sleep(1)
        assert names.asked <= 1, "nothing is looked up any more"

    run(main)


def test_more_addresses_than_the_limit_are_not_remembered():
    async def main():
        names, resolver = Names(a=["10.0.0.1"], b=["10.0.0.2"], c=["10.0.0.3"]), Resolver(2)
        await resolver.find("a:7")
        for name in ("b", "c"):
            await resolver.find(f"{name}:7")
        await resolver.find("a:7")
        assert names.asked == 4, "that of a:7 was forgotten"

    run(main)
