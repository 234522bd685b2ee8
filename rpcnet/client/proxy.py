"""A @service class seen from its caller: an object with the same methods, each of them a call.

Each is a Python function with the parameters of the method and the options of the call, so that Python itself binds the
arguments, with its own texts for those that do not fit, and a call costs no look at a signature.

Tests: tests/rpcnet/test_arguments.py and test_service.py.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from rpcnet.handler import ABSENT
from rpcnet.service import Signature, method_names, service_name, service_signature
from rpcnet.wire.frame import BIDIRECTIONAL, CLIENT_STREAMING, SERVER_STREAMING, UNARY

if TYPE_CHECKING:
    from types import CodeType

    from rpcnet.client import RpcClient

__all__ = ["ServiceProxy"]

_OWN: Final = ("response", "arguments")
"""Keywords of the client's calls that are not options, but follow from the signature."""


class ServiceProxy:
    """Methods of a @service class, as calls."""

    def __init__(self, client: "RpcClient", cls: type, options: Mapping[str, Any]) -> None:
        prefix = service_name(cls)
        for name in method_names(cls):
            signature = service_signature(cls, name)
            setattr(self, name, _caller(client, f"{prefix}.{name}", signature, options))


def _caller(client: "RpcClient", method: str, signature: Signature, options: Mapping[str, Any]) -> Callable[..., Any]:
    calls: dict[int, Callable[..., Any]] = {
        UNARY: client.call,
        CLIENT_STREAMING: client.call_client_streaming,
        SERVER_STREAMING: client.call_server_streaming,
        BIDIRECTIONAL: client.call_streaming,
    }
    call = calls[signature.shape]
    own = {one.name: one.default for one in inspect.signature(call).parameters.values() if one.kind is one.KEYWORD_ONLY}
    defaults = {key: options.get(key, default) for key, default in own.items() if key not in _OWN}
    prefix = "_"
    while any(one.name.startswith(prefix) for one in signature.parameters):
        prefix += "_"
    scope: dict[str, Any] = {
        f"{prefix}call": call,
        f"{prefix}method": method,
        f"{prefix}response": type(None) if signature.response is None else signature.response,
        f"{prefix}absent": ABSENT,
        **{f"{prefix}default_{key}": default for key, default in defaults.items()},
    }
    exec(_compiled(_source(signature, tuple(defaults), prefix)), scope)
    function: Callable[..., Any] = scope.pop(f"{prefix}function")  # else a cycle, as the scope is its globals
    function.__name__ = function.__qualname__ = method  # what Python's text of a wrong call names
    return function


@lru_cache(maxsize=1024)
def _compiled(source: str) -> "CodeType":
    return compile(source, "<rpcnet proxy>", "exec")


def _source(signature: Signature, options: tuple[str, ...], prefix: str) -> str:
    """The function of one method. Names that begin with `prefix` are ours; no parameter does."""
    taken, by_name = [], signature.arguments
    star = ["*"]
    for position, one in enumerate(signature.parameters):
        if one.kind is one.KEYWORD_ONLY:
            taken += star
            star = []
        taken.append(one.name if one.default is ABSENT else f"{one.name}={prefix}absent")
        if one.kind is one.POSITIONAL_ONLY and position + 1 == len(signature.parameters):
            taken.append("/")
    taken += [*star, *(f"{key}={prefix}default_{key}" for key in options)]
    handed_on = [f"{prefix}method"]
    lines = [f"def {prefix}function({', '.join(taken)}):"]
    if by_name or signature.takes_map:
        needed = ", ".join(f"{one.name!r}: {one.name}" for one in by_name if one.default is ABSENT)
        lines.append(f"    {prefix}arguments = {{{needed}}}")
        for one in by_name:
            if one.default is not ABSENT:
                lines.append(f"    if {one.name} is not {prefix}absent:")
                lines.append(f"        {prefix}arguments[{one.name!r}] = {one.name}")
    if signature.takes_map:
        handed_on.append(f"{prefix}arguments")
    elif by_name:
        handed_on += [signature.stream, f"arguments={prefix}arguments"]
    else:
        handed_on.append(signature.parameters[0].name)
    handed_on += [f"response={prefix}response", *(f"{key}={key}" for key in options)]
    lines.append(f"    return {prefix}call({', '.join(handed_on)})")
    return "\n".join(lines)
