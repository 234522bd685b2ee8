"""The dead are given up for good: nobody tries to reach them again, and no news is sent to them.

Joining at the seeds goes on until it has succeeded once, as it must.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.cluster.swim.contacts import Contacts
from rpcnet.cluster.swim.core import Core

__all__ = ["no_healing"]


@contextmanager
def no_healing() -> Iterator[None]:
    reconnect, gossip = Contacts.reconnect, Core._gossip

    def only_to_join(contacts: Contacts, now: float) -> None:
        if not contacts._table.has_joined:
            reconnect(contacts, now)

    def only_to_the_living(core: Core, now: float) -> None:
        dead, core._table.dead = core._table.dead, {}
        try:
            gossip(core, now)
        finally:
            core._table.dead = dead

    with patch.object(Contacts, "reconnect", only_to_join), patch.object(Core, "_gossip", only_to_the_living):
        yield
