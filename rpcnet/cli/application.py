"""`rpcnet run`: an application on this machine, over real sockets.

`rpcnet run module:main --name w1 --bind HOST:PORT --join HOST:PORT --service rpc=HOST:PORT --streams 4`: the flags are
those of the context and the keyword arguments of main. Usage mistakes are answered with exit code 2 and one line.

Tests: tests/rpcnet/cli/test_application.py.
"""

import asyncio
import errno
import inspect
import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App as Command
from cyclopts import CycloptsError, Parameter

from rpcnet.address import NAME, AddressInUse, InsecureAddressError, is_name
from rpcnet.app import (
    App,
    AppError,
    NodeContext,
    add_working_directory,
    invoke,
    load_app,
    parameters,
    split_address,
)
from rpcnet.cli.duration import seconds
from rpcnet.cli.exits import FAILED, INTERRUPTED, OK, USAGE_ERROR, CommandError, say
from rpcnet.cli.pairs import pairs
from rpcnet.config import is_duration

if TYPE_CHECKING:
    from rpcnet.cluster import Keyring

__all__ = ["console", "flags", "run", "show"]

USAGE = """\
usage: rpcnet run MODULE:FUNCTION [flags]

Runs an application, `async def main(node: NodeContext, *, …)`, on this machine. `rpcnet run MODULE:FUNCTION --help`
lists the flags: those of the node, and the application's own keyword arguments.
"""

_log = logging.getLogger("rpcnet.run")


def _node_flags(
    *,
    name: Annotated[str, Parameter(help="Name of this node in the cluster; the host name where left out.")] = "",
    bind: Annotated[str, Parameter(help="HOST:PORT of gossip.")] = "127.0.0.1:7946",
    advertise: Annotated[
        str | None, Parameter(help="HOST:PORT of gossip as others reach it, where --bind is a wildcard.")
    ] = None,
    join: Annotated[tuple[str, ...], Parameter(help="HOST:PORT of members to join at.", negative="")] = (),
    service: Annotated[tuple[str, ...], Parameter(help="NAME=HOST:PORT of a service of main.", negative="")] = (),
    label: Annotated[tuple[str, ...], Parameter(help="KEY=VALUE, in node.labels.", negative="")] = (),
    cluster: Annotated[
        tuple[str, ...],
        Parameter(help="KEY=VALUE: preset=lan|local|wan, or a setting: probe_interval=500ms.", negative=""),
    ] = (),
    keyring: Annotated[
        Path | None, Parameter(help="File of the cluster's keys, one a line in base64, the first one seals.")
    ] = None,
    directory: Annotated[Path | None, Parameter(help="What main keeps in node.directory.")] = None,
    insecure: Annotated[bool, Parameter(help="Allow addresses other than loopback without TLS and key.")] = False,
    grace: Annotated[
        str, Parameter(help="How long main may take to end after SIGTERM or Ctrl-C: 10s, 500ms, 2m, plain seconds.")
    ] = "10s",
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Parameter(help="Of what goes to stderr.")] = (
        "info"
    ),
) -> None:
    """Its signature is the flags of the context; values are taken by name in `_context`."""


@dataclass(frozen=True, slots=True)
class _Order:
    """One parsed command line."""

    app: App
    flags: dict[str, Any]
    arguments: dict[str, Any]


def flags() -> list[str]:
    """The flags of the node; the application's own depend on it."""
    return [f"--{name.replace('_', '-')}" for name in inspect.signature(_node_flags).parameters]


def run(tokens: Sequence[str]) -> int:
    """What stands behind `rpcnet run` → its exit code."""
    if not tokens or tokens[0].startswith("-"):
        if {"-h", "--help"} & set(tokens):
            show(lambda: print(USAGE, end=""))
            return OK
        return _refuse("name the application first: rpcnet run MODULE:FUNCTION [flags]")
    try:
        order = _parse(tokens[0], tokens[1:])
        if order is None:
            return OK
        order.flags["grace"] = seconds("--grace", order.flags["grace"])
        node = _context(order.flags)
    except (AppError, CommandError) as error:
        return _refuse(str(error))
    except CycloptsError as error:
        return _refuse(" ".join(str(error).split()))
    logging.basicConfig(
        level=order.flags["log_level"].upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    return asyncio.run(_serve(order, node))


def _refuse(text: str) -> int:
    say(text)
    return USAGE_ERROR


def show(text: Callable[[], object]) -> None:
    """Print help. Its reader may go (`| head -1`): the rest goes nowhere, also what is flushed at exit."""
    try:
        text()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def console() -> Any:
    from rich.console import Console  # it takes its time, and only help wants it

    class _Out(Console):
        def on_broken_pipe(self) -> None:
            raise  # noqa: PLE0704 - rich calls it where it was caught, to exit with 1

    return _Out()


def _parse(path: str, tokens: Sequence[str]) -> _Order | None:
    """None where the help was asked for and printed. Raises AppError, CycloptsError."""
    add_working_directory()
    app = load_app(path)
    own = dict(inspect.signature(_node_flags).parameters)
    given = parameters(app)
    for name in given:
        if name in own:
            raise AppError(f"{path}: its argument {name!r} clashes with the flag --{name} of rpcnet run; rename it")

    def flags(**_values: Any) -> None:
        """Replaced by the signature below; cyclopts reads nothing else."""

    # Flags only: a value without its flag would be guessed to belong to whatever comes first.
    merged = [p.replace(kind=p.KEYWORD_ONLY) for p in (*own.values(), *given.values())]
    untyped = [p.replace(annotation=str) if p.annotation is p.empty and p.default is p.empty else p for p in merged]
    flags.__signature__ = inspect.Signature(untyped)  # type: ignore[attr-defined]
    flags.__annotations__ = {p.name: p.annotation for p in untyped if p.annotation is not p.empty}
    command = Command(f"rpcnet run {path}", help=inspect.getdoc(app) or "", version_flags=[])
    command.default(flags)
    chosen, bound, _ = command.parse_args(tokens, print_error=False, exit_on_error=False)
    if chosen is not flags:
        bound.arguments["console"] = console()
        show(lambda: chosen(*bound.args, **bound.kwargs))
        return None
    bound.apply_defaults()
    values = bound.arguments
    return _Order(app, {name: values[name] for name in own}, {name: values[name] for name in given if name in values})


def _keyring(path: Path | None) -> "Keyring | None":
    if path is None:
        return None
    from rpcnet.cluster import InvalidKey, Keyring

    try:
        return Keyring.from_file(path)
    except (OSError, InvalidKey) as error:
        raise AppError(f"--keyring: {error}") from None


def _context(flags: dict[str, Any]) -> NodeContext:
    host, _ = split_address(flags["bind"])
    for seed in flags["join"]:
        split_address(seed)
    name = flags["name"] or socket.gethostname()
    if not is_name(name):
        raise AppError(f"--name is {NAME}, not {name!r}")
    return NodeContext(
        name,
        host=host,
        services={"gossip": flags["bind"], **pairs("--service", flags["service"])},
        labels=pairs("--label", flags["label"]),
        seeds=flags["join"],
        advertise=flags["advertise"],
        cluster=_cluster(flags["cluster"]),
        keyring=_keyring(flags["keyring"]),
        insecure=flags["insecure"],
        wall_clock=time.time,
        directory=flags["directory"],
        on_ready=lambda: _log.info("%s is ready", name),
    )


def _cluster(given: Sequence[str]) -> dict[str, Any]:
    """What --cluster says; durations have units, or are plain seconds."""
    found = pairs("--cluster", given)
    return {key: seconds(f"--cluster {key}", text) if is_duration(key) else text for key, text in found.items()}


def _is_of_the_surroundings(error: BaseException) -> bool:
    """Whether whoever typed the command mends it, and no line of the application."""
    from rpcnet.cluster import NameInUse, NotPermitted

    return isinstance(error, AddressInUse | InsecureAddressError | NameInUse | NotPermitted) or (
        isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL
    )


async def _serve(order: _Order, node: NodeContext) -> int:
    """Run main until it ends or a signal ends it."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(invoke(order.app, node, order.arguments), name="main")
    received: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        if number in received and number is signal.SIGINT:
            os._exit(INTERRUPTED)  # The second Ctrl-C does not ask again.
        received.append(number)
        task.cancel()
        loop.call_later(order.flags["grace"], give_up)

    def give_up() -> None:
        print(f"rpcnet: {node.name} did not end within {order.flags['grace']:g} s; raise --grace", file=sys.stderr)
        os._exit(FAILED)

    for number in (signal.SIGTERM, signal.SIGINT):
        # A shell starts its background jobs with SIGINT ignored: it stays so, as in every Python program.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop, number)
    await asyncio.wait({task})
    if not task.cancelled() and (error := task.exception()) is not None:
        if _is_of_the_surroundings(error):
            say(f"{node.name} cannot start: {getattr(error, 'strerror', None) or error}")
            _log.debug("the traceback", exc_info=error)
        else:
            traceback.print_exception(error)
        return FAILED
    if signal.SIGINT in received:
        return INTERRUPTED
    return OK if received or not task.cancelled() else FAILED
