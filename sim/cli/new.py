"""`rpcnet-sim new`: a first scenario to change, which runs as it is.

Tests: tests/sim/cli/test_new.py.
"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sim.cli import output
from sim.cli.exits import HOLDS, UsageError
from sim.paths import writable_file

__all__ = ["new"]

HEAD = """\
# docs/scenarios.md explains every table, docs/faults.md what can happen, docs/expectations.md what can be judged.
name = "{name}"
summary = "{summary}"
duration = "30s"                     # of virtual time; with --backend sockets, of real time

[network]
preset = "lan"                       # loopback, lan, datacenter, wan, cross-region, wifi, mobile
loss = "1%"
"""
OF_A_CLUSTER = """
[cluster]
preset = "lan"                       # local, lan, wan: how patient members are with each other

[[node]]
name = "member"
count = 5                            # member-1 ... member-5
app = "sim.apps.member:main"         # joins and stays; your own: module:function, an async def that takes the node

[[fault]]
name = "crash"
at = "5s"
crash = "member-3"                   # the power is off: silence

[[expect]]
member_failed = "member-3"           # every other member finds out ...
after = "crash"
within = "10s"

[[expect]]
no_false_failures = true             # ... and nobody is buried who lives

[[expect]]
no_leaks = true                      # at the end no task, stream or socket is left
"""
OF_AN_APP = """
[[node]]
name = "one"
app = "{app}"
# count = 3                          # one-1 ... one-3
# args = {{ greeting = "hello" }}      # keyword arguments of the function

[[fault]]
name = "pause"
at = "5s"
for = "1s"
pause = "all"                        # the process is stopped, as by SIGSTOP, and goes on

[[expect]]
no_leaks = true                      # at the end no task, stream or socket is left

# What your program says with node.record("token", index=7), or asyncio's own events, can be judged as well:
# [[expect]]
# logged = "token"
# min = 1
"""


def new(
    file: Path,
    /,
    *,
    app: Annotated[
        str | None, Parameter(help="Your program, module:function; left out = a cluster of members.")
    ] = None,
) -> int:
    """Write a first scenario, which runs as it is and is to be changed.

    Parameters
    ----------
    file:
        Where to: crash.toml. One that is there is left alone.
    """
    from rpcnet.app import add_working_directory
    from sim.scenario.load import load_text
    from sim.scenario.mistake import ScenarioError

    if file.suffix != ".toml":
        raise UsageError(f"{file}: a scenario file ends in .toml")
    if app is None:
        text = HEAD.format(name=file.stem, summary="One of five members dies. Do the others find out?") + OF_A_CLUSTER
    else:
        text = HEAD.format(name=file.stem, summary="Does it end as it should?") + OF_AN_APP.format(app=app)
    add_working_directory()
    try:
        load_text(text, file)  # what is written is in order
    except ScenarioError as error:
        raise UsageError(f"{file if app is None else f'--app {app}'}: {error.message}") from None
    try:
        with writable_file("new", file).open("x") as out:
            out.write(text)
    except FileExistsError:
        raise UsageError(f"{file}: is there already, and is left alone; give another name") from None
    output.line(f"{file}: run it with `rpcnet-sim run {file}`")
    return HOLDS
