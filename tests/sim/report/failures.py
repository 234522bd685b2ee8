"""Ten planted failures: a scenario each, and what its page must say to somebody who has not seen the code.

Tests: tests/sim/report/test_failures.py. Where on the page it is said: docs/howto/read-a-page.md.
"""

from dataclasses import dataclass

__all__ = ["FAILURES", "Failure"]


@dataclass(frozen=True, slots=True)
class Failure:
    """`text` is a scenario; `what`, `when`, `who` and `why` are words that stand in the first answer of its page."""

    text: str
    what: str
    when: str
    who: str
    why: tuple[str, ...]
    defects: tuple[str, ...] = ()


def _scenario(body: str, duration: str = "10s") -> str:
    head = f'name = "planted"\nsummary = "One thing is wrong here."\nduration = "{duration}"\nseed = 3\n'
    return head + '\n[network]\npreset = "lan"\n' + body


def _node(name: str, app: str, more: str = "") -> str:
    return f'\n[[node]]\nname = "{name}"\napp = "{app}"\n{more}'


MEMBERS = _node("member", "sim.apps.member:main", "count = 4\n")
LEAKS = "\n[[expect]]\nno_leaks = true\n"
OURS = "tests.sim.report.apps"

FAILURES: dict[str, Failure] = {
    "a false death": Failure(
        _scenario(
            MEMBERS
            + '\n[[fault]]\nat = "4s"\npause = "member-2"\nfor = "2s"\n\n[[expect]]\nno_false_failures = true\n',
            "15s",
        ),
        what="recorded member-2 as failed",
        when="after fault 1 (pause member-2)",
        who="member-2",
        why=("fault 1 (pause member-2) struck at 4.000 s", "recorded member-2 as suspected"),
        defects=("hasty_verdict",),
    ),
    "a leak": Failure(
        _scenario(_node("keeper", f"{OURS}:leaking") + "\n[[expect]]\nno_leaks = true\n"),
        what="keeper left a transport behind",
        when="the run was being ended since 10.000 s",
        who="keeper",
        why=("no fault was injected", "left a transport behind"),
    ),
    "a gap": Failure(
        _scenario(
            _node("counter", f"{OURS}:skipping")
            + '\n[[expect]]\nsequence = { event = "token", by = "stream", gaps = 0, repeats = 0 }\n'
        ),
        what="the index of stream 1 of counter went from 4 to 6",
        when="at 3.500 s",
        who="counter",
        why=("recorded token: stream 1, index 4", "recorded token: stream 1, index 6"),
    ),
    "a late call": Failure(
        _scenario(
            _node("server", f"{OURS}:serving")
            + _node("client", f"{OURS}:calling", 'args = { server = "server:7000" }\n')
            + '\n[[fault]]\nname = "slow"\nat = "5s"\nfor = "2s"\n'
            + 'link = { between = ["client", "server"], latency = "150ms" }\n'
            + '\n[[expect]]\ncalls = "client"\nmax = { last = "50ms" }\n'
        ),
        what="the slowest: echo of client, 0.3",
        when="after fault 1 (link client",
        who="client",
        why=('fault 1 "slow"', "was in effect then", "saw the end of its call of echo"),
    ),
    "a lost batch": Failure(
        _scenario(
            '\n[cluster]\npreset = "local"\n'
            + _node(
                "writer",
                "sim.apps.member:main",
                'args = { counters = ["red", "green", "blue"], every = 0.25, batches = 20 }\n',
            )
            + _node("reader", "sim.apps.member:main", "count = 2\n")
            + "\n[[expect]]\ntags_atomic = true\n"
        ),
        what="not the whole batch",
        when="at ",
        who="writer",
        why=("saw the tags of writer", "published its tags"),
        defects=("torn_tags",),
    ),
    "an application that raises": Failure(
        _scenario(_node("shop", f"{OURS}:raising") + _node("other", f"{OURS}:idle") + LEAKS),
        what="The application of shop raised KeyError: &#39;pear&#39;",
        when="at 2.000 s",
        who="shop",
        why=("it was raised in raising, ", "apps.py:", "prices[&#34;pear&#34;]"),
    ),
    "a deadlock": Failure(
        _scenario(_node("worker", f"{OURS}:deadlocked") + '\n[[expect]]\nstream_completes = "worker"\n'),
        what="stream 1 of worker, opened at 0 s, was not completed",
        when="at 10.000 s",
        who="worker",
        why=("worker had recorded nothing but messages since", "waited in take (", "Lock"),
    ),
    "a fault that hit nobody": Failure(
        _scenario(
            MEMBERS
            + '\n[[fault]]\nname = "again"\nat = "5s"\nrestart = "member-2"\n'
            + '\n[[expect]]\nmember_recovered = "member-2"\nafter = "again"\nwithin = "3s"\n'
        ),
        what="The fault &#34;again&#34; had no effect",
        when="at 5.000 s",
        who="member-2",
        why=("member-2",),
    ),
    "a partition that never healed": Failure(
        _scenario(
            MEMBERS
            + '\n[[fault]]\nname = "split"\nat = "4s"\npartition = { groups = '
            + '[["member-1", "member-2"], ["member-3", "member-4"]] }\n'
            + '\n[[expect]]\nconverged = true\nafter = "split"\nwithin = "20s"\n',
            "30s",
        ),
        what="listed not member-",
        when="after fault 1 (partition member-1, member-2 | member-3, member-4)",
        who="member-3",
        why=("was never undone: it lasted until the run was ended", "cut off"),
    ),
    "a node that was never ready": Failure(
        _scenario(_node("sleeper", f"{OURS}:never_ready") + _node("other", f"{OURS}:idle") + LEAKS),
        what="not ready after 30 s",
        when="at 30",
        who="sleeper",
        why=("time zero never came", "waited in never_ready ("),
    ),
}  # fmt: skip
"""By what is wrong."""
