"""The command line: which command it is, its flags, and how whatever happens becomes an exit code and one line.

`rpcnet run` has flags that depend on the application, and reads its own (rpcnet/cli/application.py).

Tests: tests/rpcnet/cli/test_command.py.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from importlib import metadata
from typing import Annotated, Any, Final, Literal

from cyclopts import App, CycloptsError, Parameter

from rpcnet.cli import application
from rpcnet.cli.call import Order, call
from rpcnet.cli.completion import bash
from rpcnet.cli.exits import BROKEN_PIPE, INTERRUPTED, OK, USAGE_ERROR, CommandError, exit_code, nearest, say, tell
from rpcnet.cli.health import health
from rpcnet.cli.input import STDIN
from rpcnet.cli.listing import listing
from rpcnet.cli.output import Output, while_read
from rpcnet.cli.remote import Remote
from rpcnet.errors import RpcError

__all__ = ["main", "run"]

USAGE: Final = """\
usage: rpcnet run MODULE:FUNCTION [flags]
       rpcnet list ADDRESS [PREFIX]
       rpcnet call ADDRESS METHOD [JSON]
       rpcnet health ADDRESS [SERVICE]
       rpcnet members ADDRESS [--watch] [--json]
       rpcnet tags ADDRESS [KEY=VALUE …] [--delete KEY]
       rpcnet leave ADDRESS
       rpcnet keys ADDRESS list|add|use|remove [KEY]
       rpcnet completion bash
       rpcnet --version

Runs an application on this machine; asks a server what it has, for one call, whether it serves; or asks the admin
service of a member of a cluster: who is there, its tags, leave and keys. ADDRESS is HOST:PORT, [IPv6]:PORT or
unix:PATH. `rpcnet COMMAND --help` lists the flags.
"""
COMMANDS: Final = ("run", "list", "call", "health", "members", "tags", "leave", "keys", "completion")

app = App("rpcnet", version_flags=[], help_format="plaintext")
Flag = Annotated[bool, Parameter(negative="")]


@app.command(name="list")
def _list(
    address: Annotated[str, Parameter(help="HOST:PORT, [IPv6]:PORT or unix:PATH.")],
    prefix: Annotated[str, Parameter(help="Only methods whose names begin so; `rpcnet.` for the built-in ones.")] = "",
    /,
    *,
    json: Annotated[Flag, Parameter(help="One JSON array, with types as JSON Schema.")] = False,
    names: Annotated[Flag, Parameter(help="Names alone.")] = False,
    remote: Remote = Remote(),  # noqa: B008 - a frozen value
) -> int:
    """List the methods of a server."""
    return _asked(lambda output: listing(address, prefix, remote, output, as_json=json, names=names))


@app.command(name="call")
def _call(
    address: Annotated[str, Parameter(help="HOST:PORT, [IPv6]:PORT or unix:PATH.")],
    method: Annotated[str, Parameter(help="Its name, as `rpcnet list` shows it.")],
    /,
    *values: Annotated[
        str,
        Parameter(
            help="The request as JSON: the value of a single parameter, else an object of arguments. @FILE reads"
            " a file, - standard input. A method that takes a stream is sent each value, or else"
            " each line of standard input."
        ),
    ],
    arguments: Annotated[str | None, Parameter(help="JSON object of what the method takes beside a stream.")] = None,
    bytes: Annotated[Flag, Parameter(help="Send what is given as it is, and write what comes as it is.")] = False,
    shape: Annotated[
        str | None, Parameter(help="Of a method that the server does not tell: unary, client_streaming, …")
    ] = None,
    idle_timeout: Annotated[
        str | None, Parameter(help="How long the server may be silent while a stream is read: 3s, 500ms, 2m.")
    ] = None,
    verbose: Annotated[
        bool, Parameter(name=["-v", "--verbose"], help="Metadata and trailers, on standard error.", negative="")
    ] = False,
    remote: Remote = Remote(),  # noqa: B008
) -> int:
    """Call a method: JSON in, JSON out, a line an item where the method answers with a stream."""
    order = Order(method, values, arguments, shape, bytes, idle_timeout, verbose)
    return _asked(lambda output: call(address, order, remote, output))


@app.command(name="health")
def _health(
    address: Annotated[str, Parameter(help="HOST:PORT, [IPv6]:PORT or unix:PATH.")],
    service: Annotated[str, Parameter(help="One service; the whole server where left out.")] = "",
    /,
    *,
    watch: Annotated[Flag, Parameter(help="Go on: a line at each change, until the server stops.")] = False,
    remote: Remote = Remote(),  # noqa: B008
) -> int:
    """Say whether a server takes calls; exits with 1 where it does not."""
    return _asked(lambda output: health(address, service, remote, output, watch=watch))


@app.command(name="members")
def _members(
    address: Annotated[str, Parameter(help="Of the admin service: HOST:PORT, [IPv6]:PORT or unix:PATH.")],
    /,
    *,
    watch: Annotated[Flag, Parameter(help="Go on: the table anew at each change, until the member leaves.")] = False,
    json: Annotated[Flag, Parameter(help="One JSON array a table.")] = False,
    everyone: Annotated[Flag, Parameter(name="--all", help="Those, too, that failed or left.")] = False,
    remote: Remote = Remote(),  # noqa: B008
) -> int:
    """Show the members of a cluster as one of them sees them."""
    from rpcnet.cli.cluster import members  # with it the cluster is loaded, which most commands have no use for

    return _asked(lambda output: members(address, remote, output, everyone=everyone, watch=watch, as_json=json))


@app.command(name="tags")
def _tags(
    address: Annotated[str, Parameter(help="Of the admin service: HOST:PORT, [IPv6]:PORT or unix:PATH.")],
    /,
    *changes: Annotated[str, Parameter(help="KEY=VALUE: set this tag; all changes are one batch.")],
    delete: Annotated[tuple[str, ...], Parameter(help="KEY of a tag to delete; repeatable.", negative="")] = (),
    remote: Remote = Remote(),  # noqa: B008
) -> int:
    """Show the tags of a member, changed first where changes are given."""
    from rpcnet.cli.cluster import tags

    return _asked(lambda output: tags(address, changes, delete, remote, output))


@app.command(name="leave")
def _leave(
    address: Annotated[str, Parameter(help="Of the admin service: HOST:PORT, [IPv6]:PORT or unix:PATH.")],
    /,
    *,
    remote: Remote = Remote(),  # noqa: B008
) -> int:
    """Have a member leave its cluster; done when the others know."""
    from rpcnet.cli.cluster import leave

    return _asked(lambda output: leave(address, remote))


@app.command(name="keys")
def _keys(
    address: Annotated[str, Parameter(help="Of the admin service: HOST:PORT, [IPv6]:PORT or unix:PATH.")],
    what: Annotated[Literal["list", "add", "use", "remove"], Parameter(help="list: their ids. use: seal with it.")],
    key: Annotated[
        str | None, Parameter(help="The key as base64 text, @FILE or - for standard input; or its id.")
    ] = None,
    /,
    *,
    remote: Remote = Remote(),  # noqa: B008
) -> int:
    """Show the keys of a member by their ids, changed first where that is asked for."""
    from rpcnet.cli.cluster import keys

    return _asked(lambda output: keys(address, what, key, remote, output))


@app.command(name="completion")
def _completion(shell: Annotated[Literal["bash"], Parameter(help="bash; zsh reads it, too.")], /) -> int:
    """Write the completion of a shell: `source <(rpcnet completion bash)`."""
    script = bash({name: _flags(name) for name in COMMANDS})
    application.show(lambda: print(script, end=""))
    return OK


def _flags(command: str) -> list[str]:
    if command == "run":
        return ["--help", *application.flags()]
    return [
        name
        for argument in app[command].assemble_argument_collection()
        for name in argument.names
        if name.startswith("-")
    ]


def _asked(work: Callable[[Output], Coroutine[Any, Any, int]]) -> int:
    """Ask a server: what a command does, to its exit code."""

    async def main() -> int:
        output = Output()
        return await while_read(output, work(output))

    try:
        return asyncio.run(main())
    except CommandError as error:
        say(str(error))
        return error.code
    except RpcError as error:
        tell(error)
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED


def main(tokens: Sequence[str] | None = None) -> None:
    """The console script; its exit codes are in docs/howto/shell.md."""
    code = run(sys.argv[1:] if tokens is None else tokens)
    if code == BROKEN_PIPE:
        # What is left in the buffer goes nowhere, also what would be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(tokens: Sequence[str]) -> int:
    """One command line → its exit code."""
    if not tokens or tokens[0] in {"-h", "--help"}:
        application.show(lambda: print(USAGE, end=""))
        return OK if tokens else USAGE_ERROR
    if tokens[0] == "--version":
        application.show(lambda: print(metadata.version("rpcnet")))
        return OK
    if tokens[0] == "run":
        return application.run(tokens[1:])
    if tokens[0] not in COMMANDS:
        known = f"{nearest(tokens[0], COMMANDS)}"
        say(f"unknown command {tokens[0]!r}; allowed: {', '.join(COMMANDS)}{known}")
        return USAGE_ERROR
    words = [STDIN if token == "-" else token for token in tokens]
    try:
        if {"-h", "--help"} & set(words):
            application.show(lambda: app(words, console=application.console(), result_action="return_value"))
            return OK
        result = app(words, print_error=False, exit_on_error=False, result_action="return_value")
    except CycloptsError as error:
        say(" ".join(str(error).split()))
        return USAGE_ERROR
    return result if isinstance(result, int) else OK
