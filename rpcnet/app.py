"""What an application is handed, and how it is found: `async def main(node: NodeContext, *, streams: int = 4)`.

The same function runs deployed (`rpcnet run`), as a process of a test, and on a simulated machine. Whoever starts it
builds the NodeContext from plain values; nothing here knows which world that is. An entry point is named
`module:function`; its keyword arguments are checked against its signature before it runs.
"""

import asyncio
import importlib
import inspect
import os
import sys
import time
import traceback
import typing
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from rpcnet import observe
from rpcnet.address import join_host_port, split_host_port
from rpcnet.config import ClusterConfig, RpcConfig

if TYPE_CHECKING:
    import ssl

    from rpcnet.cluster import Cluster, Keyring

__all__ = [
    "App",
    "AppError",
    "ArgumentProblem",
    "NodeContext",
    "add_working_directory",
    "check_arguments",
    "cluster_config",
    "convert_arguments",
    "invoke",
    "keyring_of",
    "load_app",
    "load_object",
    "parameters",
    "split_address",
    "takes_node",
]

App = Callable[..., Awaitable[Any]]
"""A coroutine function; its first positional parameter, where there is one, takes the NodeContext."""

GOSSIP_PORT = 7946
"""memberlist's port, known to operators."""
SERVICE_PORTS = range(10_000, 30_000)
"""Below Linux's ephemeral ports, which begin at 32768, so that no outgoing connection sits on one."""
WILDCARDS = frozenset({"0.0.0.0", "::"})
PRESETS: Mapping[str, Callable[[], ClusterConfig]] = {
    "lan": ClusterConfig.lan,
    "local": ClusterConfig.local,
    "wan": ClusterConfig.wan,
}


class AppError(Exception):
    """An entry point, an argument or a setting that cannot be used; the text says which, why, and what is allowed."""


def split_address(address: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[v6]:port`. Raises AppError."""
    try:
        return split_host_port(address)
    except ValueError as error:
        raise AppError(str(error)) from None


def cluster_config(settings: Mapping[str, Any]) -> ClusterConfig:
    """A preset and what differs from it: `{"preset": "lan", "probe_interval": 0.5}`. Raises AppError."""
    names = [field.name for field in fields(ClusterConfig)]
    preset = settings.get("preset", "lan")
    if preset not in PRESETS:
        raise AppError(f"unknown cluster preset {preset!r}{_nearest(preset, PRESETS)}")
    types = typing.get_type_hints(ClusterConfig)
    changes: dict[str, Any] = {}
    for name, value in settings.items():
        if name == "preset":
            continue
        if name not in names:
            raise AppError(f"unknown cluster setting {name!r}{_nearest(name, ['preset', *names])}")
        try:
            changes[name] = msgspec.convert(value, types[name], strict=not isinstance(value, str))
        except msgspec.ValidationError as error:
            raise AppError(f"cluster setting {name} = {value!r}: {error}") from error
    try:
        return replace(PRESETS[preset](), **changes)
    except ValueError as error:
        raise AppError(str(error)) from error


def keyring_of(keys: Sequence[str]) -> "Keyring | None":
    """The keyring of these keys, None where there are none. Raises AppError, which tells nothing of a key."""
    if not keys:
        return None  # most nodes have none, and many no cluster either, which takes a while to load
    from rpcnet.cluster import InvalidKey, Keyring

    try:
        return Keyring(*keys)
    except InvalidKey as error:
        raise AppError(f"keys: {error}") from None


class NodeContext:
    """What an application knows of the node that it runs on."""

    def __init__(
        self,
        name: str,
        *,
        host: str = "127.0.0.1",
        services: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        seeds: Iterable[str] = (),
        advertise: str | None = None,
        cluster: Mapping[str, Any] | None = None,
        keyring: "Keyring | None" = None,
        insecure: bool = False,
        tls: "ssl.SSLContext | None" = None,
        random: Random | None = None,
        wall_clock: Callable[[], float] | None = None,
        directory: Path | None = None,
        on_ready: Callable[[], None] | None = None,
    ) -> None:
        """Everything that differs between worlds comes in here.

        host: the address of this node, one for all its services. services: `name -> host:port` where a service has an
        address of its own ("gossip" is one). seeds: gossip addresses to join at; one's own is left out. advertise: the
        gossip address told to others where the bound one is a wildcard; its host stands for services bound so too.
        cluster: `preset` and ClusterConfig fields that differ from it. keyring: what its Cluster seals with. insecure:
        addresses other than loopback are fine without TLS and key. wall_clock: seconds since the epoch. directory:
        what survives a restart. on_ready: called once.
        """
        self.name = name
        self.labels: Mapping[str, str] = dict(labels or {})
        self.host = host
        self.tls = tls
        self.random = random if random is not None else Random()
        """This node's own: seeded by the run in tests, so use it instead of the module's functions."""
        # Looked up here, not in the signature: a default value would escape whoever replaces time.time.
        self.wall_clock = wall_clock if wall_clock is not None else time.time
        self.rpc_config = RpcConfig(insecure=insecure and tls is None)
        self.is_ready = False
        self._directory = directory
        self._on_ready = on_ready
        self._seeds, self._keyring = tuple(seeds), keyring
        self._advertise = advertise
        if advertise is not None:
            split_address(advertise)
        self._config = cluster_config(cluster or {})
        if insecure:
            self._config = replace(self._config, insecure=True)
        self._addresses: dict[str, str] = {}
        self._ports: dict[int, str] = {}
        for service, address in (services or {}).items():
            self._addresses[service] = join_host_port(*split_address(address))

    def address(self, service: str) -> str:
        """`host:port` of a service of this node, the same after a restart; announced by `cluster()` once asked for."""
        known = self._addresses.get(service)
        if known is not None:
            return known
        by_name = SERVICE_PORTS[zlib.crc32(service.encode()) % len(SERVICE_PORTS)]
        port = GOSSIP_PORT if service == "gossip" else by_name
        other = self._ports.setdefault(port, service)
        if other != service:
            raise AppError(f"services {other!r} and {service!r} of {self.name} fall on port {port}; rename one of them")
        address = self._addresses[service] = join_host_port(self.host, port)
        return address

    @property
    def directory(self) -> Path:
        """A folder of this node's own, kept over restarts."""
        if self._directory is None:
            raise AppError(f"node {self.name} was given no directory; start it with one (rpcnet run --directory DIR)")
        self._directory.mkdir(parents=True, exist_ok=True)
        return self._directory

    def cluster(
        self, *, services: Mapping[str, str] | None = None, join: Iterable[str] | None = None, **settings: Any
    ) -> "Cluster":
        """A Cluster for this node: bound, joining, configured, its services announced. Enter it with `async with`.

        services: added to those that `address()` was asked for. join: instead of the seeds. settings: ClusterConfig
        fields that differ on this node. Raises AppError for a setting that does not exist.
        """
        from rpcnet.cluster import Cluster

        gossip = self.address("gossip")
        config = self._config
        if settings:
            changed = cluster_config({"preset": "lan", **settings})
            config = replace(config, **{name: getattr(changed, name) for name in settings if name != "preset"})
        mine = {gossip, self._advertise}
        asked_for = {name: address for name, address in self._addresses.items() if name != "gossip"}
        announced = {name: self._told(name, address) for name, address in (asked_for | dict(services or {})).items()}
        return Cluster(
            self.name,
            gossip,
            join=[seed for seed in (self._seeds if join is None else join) if seed not in mine],
            services=announced,
            advertise=self._advertise,
            config=config,
            keyring=self._keyring,
            random=Random(self.random.getrandbits(64)),
            wall_clock=self.wall_clock,
        )

    def _told(self, service: str, address: str) -> str:
        """The address of a service as others can reach it."""
        host, port = split_address(address)
        if host not in WILDCARDS:
            return address
        if self._advertise is None:
            raise AppError(f"others cannot reach {service} at {address}; say where they can: advertise=HOST:PORT")
        return join_host_port(split_address(self._advertise)[0], port)

    def ready(self) -> None:
        """Say that this node does its work from now on; further calls change nothing."""
        if self.is_ready:
            return
        self.is_ready = True
        if self._on_ready is not None:
            self._on_ready()

    def record(self, event: str, /, **fields: object) -> None:
        """Tell the observer of this run a fact, for expectations and plots; costs nothing where there is none."""
        observer = observe.current()
        if observer is not None:
            observer.record(event, **fields)

    def __repr__(self) -> str:
        return f"<NodeContext {self.name} at {self.host}>"


def load_object(path: str, what: str, fits: Callable[[Any], bool]) -> Any:
    """What `module:name` names; `what` it should be and which of the module's names would fit are for the error's text.

    Raises AppError.
    """
    module_name, colon, attribute = path.partition(":")
    if not colon or not module_name or not attribute or module_name.startswith("."):
        raise AppError(f"{path!r} names no {what}")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        # Whatever the module's own code raises is the user's to read; the last line of it that ran says where.
        raise AppError(f"cannot import {module_name!r}: {_why_not_imported(error, module_name)}") from error
    function = module
    for part in attribute.split("."):
        if not hasattr(function, part):
            fitting = [name for name, value in vars(module).items() if fits(value)]
            raise AppError(f"{module_name!r} has no {attribute!r}{_nearest(attribute, fitting)}")
        function = getattr(function, part)
    return function


def load_app(path: str) -> App:
    """The coroutine function named `module:function`. Raises AppError, which says what is wrong with it."""
    function = load_object(path, "application; write it as module:function", inspect.iscoroutinefunction)
    if not inspect.iscoroutinefunction(function):
        raise AppError(f"{path} is no coroutine function but {type(function).__name__!r}; write it as `async def`")
    app: App = function
    extra = [p.name for p in _positional(app)[1:] if p.default is p.empty and p.kind is p.POSITIONAL_ONLY]
    if extra:
        raise AppError(f"{path} has the positional-only parameter {extra[0]!r}; only the node is passed by position")
    return app


def _looked_in() -> str:
    if {"", os.getcwd()} & set(sys.path):
        return "the working directory and the installed packages"
    return "the installed packages, and not in the working directory, which is not on sys.path"


def _why_not_imported(error: Exception, module: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name is not None:
        if error.name == module or module.startswith(error.name + "."):
            return f"there is no module {error.name!r} (looked in {_looked_in()})"
        return f"it imports {error.name!r}, which is not installed"
    if isinstance(error, SyntaxError):
        return f"{error.msg} ({error.filename}:{error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _positional(app: App) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p for p in inspect.signature(app).parameters.values() if p.kind in kinds]


def takes_node(app: App) -> bool:
    """Whether the application is handed a NodeContext; if so it says itself when it is ready."""
    return bool(_positional(app))


def parameters(app: App) -> dict[str, inspect.Parameter]:
    """What may be given to the application by name, annotations resolved where they can be."""
    try:
        hints = typing.get_type_hints(app, include_extras=True)
    except (NameError, TypeError, AttributeError):
        hints = {}  # Names that only type checkers import: the argument is passed as it is.
    found = dict(inspect.signature(app).parameters)
    for first in _positional(app)[:1]:
        del found[first.name]
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        name: p.replace(annotation=hints.get(name, inspect.Parameter.empty))
        for name, p in found.items()
        if p.kind in kinds
    }


@dataclass(frozen=True, slots=True)
class ArgumentProblem:
    """One argument that does not fit the signature of the application."""

    argument: str
    text: str
    missing: bool = False

    def __str__(self) -> str:
        return self.text


def check_arguments(app: App, arguments: Mapping[str, Any]) -> list[ArgumentProblem]:
    """Everything that keeps `app` from being called with these arguments: unknown, of a wrong type, missing."""
    known = parameters(app)
    anything = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(app).parameters.values())
    problems = []
    for name, value in arguments.items():
        if name in known:
            try:
                _convert(value, known[name].annotation)
            except msgspec.ValidationError as error:
                problems.append(ArgumentProblem(name, f"argument {name} = {value!r}: {error}"))
        elif not anything:
            problems.append(ArgumentProblem(name, f"unknown argument {name!r}{_nearest(name, known)}"))
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in arguments:
            problems.append(ArgumentProblem(name, f"argument {name!r} is missing and has no default", missing=True))
    return problems


def convert_arguments(app: App, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, as their annotations want them. Raises AppError with every problem of `check_arguments`."""
    problems = check_arguments(app, arguments)
    if problems:
        raise AppError("; ".join(map(str, problems)))
    known = parameters(app)
    return {
        name: _convert(value, known[name].annotation) if name in known else value for name, value in arguments.items()
    }


def _convert(value: Any, annotation: Any) -> Any:
    if annotation is inspect.Parameter.empty:
        return value
    try:
        return msgspec.convert(value, annotation)
    except TypeError:
        return value  # A type that msgspec does not know: the application's own business.


async def invoke(app: App, node: NodeContext, arguments: Mapping[str, Any]) -> Any:
    """Run an application to its end. One that takes no node is ready after its first turn."""
    if takes_node(app):
        return await app(node, **arguments)
    first_turn = asyncio.get_running_loop().call_soon(node.ready)
    try:
        result = await app(**arguments)
    finally:
        first_turn.cancel()
    node.ready()
    return result


def _nearest(name: object, allowed: Iterable[str]) -> str:
    """`; did you mean "x"? allowed: …` for the text of an error."""
    names = sorted(allowed)
    near = get_close_matches(str(name), names, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else ";"
    listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return f"{hint} allowed: {listed or 'none'}"


def add_working_directory() -> None:
    """Let `examples.…` be imported: an installed console script does not see the working directory."""
    try:
        here = str(Path.cwd())
    except FileNotFoundError:
        return  # somebody has removed it: nothing is in it
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
