"""aiodns on a node knows the simulation's names: a stand-in for it, imported before or after there is a simulation."""

import asyncio
import importlib
import sys

import pytest

from sim import NotSimulated, Simulation
from sim.kernel import patches

SOURCE = """
class error:
    class DNSError(Exception): pass

class DNSResolver:
    def __init__(self, nameservers=None, loop=None, **options):
        self.real = True

    def __del__(self):
        assert self.real
"""


@pytest.fixture(params=["before", "after"])
def aiodns(request, tmp_path, monkeypatch):
    """A function that imports it, where it was not before."""
    (tmp_path / "aiodns.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "aiodns", raising=False)
    patches.undo()
    if request.param == "before":
        importlib.import_module("aiodns")
    yield lambda: importlib.import_module("aiodns")
    patches.undo()
    sys.modules.pop("aiodns", None)


def ask(aiodns, question):
    with Simulation(1) as simulation:
        simulation.add_node("server", "10.0.0.9")

        async def main():
            module = aiodns()
            resolver = module.DNSResolver(loop=asyncio.get_running_loop())
            assert isinstance(resolver, module.DNSResolver)
            try:
                return await question(resolver)
            finally:
                resolver.cancel()
                await resolver.close()

        return simulation.run_until_complete(simulation.add_node("client").start(main))


def test_names_are_looked_up_in_the_simulation(aiodns):
    async def question(resolver):
        found = await resolver.getaddrinfo("server", port=80, family=0, type=1, flags=0x20)
        assert [(node.family, node.addr) for node in found.nodes] == [(2, (b"10.0.0.9", 80))]
        assert (await resolver.gethostbyname("server", 2)).addresses == ["10.0.0.9"]
        assert [each.host for each in await resolver.query("server", "A")] == ["10.0.0.9"]
        answers = (await resolver.query_dns("server", "A")).answer
        assert [(each.type, each.data.addr) for each in answers] == [(1, "10.0.0.9")]
        assert (await resolver.getnameinfo(("10.0.0.9", 80), 2 | 8)).node == "10.0.0.9"
        assert (await resolver.gethostbyaddr("10.0.0.9")).name == "server"

    ask(aiodns, question)


def test_an_unknown_name_is_its_own_error(aiodns):
    async def question(resolver):
        await resolver.getaddrinfo("nobody", port=80)

    with pytest.raises(Exception, match="Domain name not found") as caught:
        ask(aiodns, question)
    assert type(caught.value).__name__ == "DNSError"


def test_records_that_no_machine_has_are_refused(aiodns):
    async def question(resolver):
        await resolver.query("server", "MX")

    with pytest.raises(NotSimulated, match="type MX"):
        ask(aiodns, question)


def test_elsewhere_it_is_the_real_one(aiodns):
    with Simulation(1):
        assert aiodns().DNSResolver().real
