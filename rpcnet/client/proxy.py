"""A @service class seen from its caller: an object with the same methods, each of them a call."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rpcnet.service import Signature, method_names, read_signature, service_name
from rpcnet.wire.frame import BIDIRECTIONAL, CLIENT_STREAMING, SERVER_STREAMING, UNARY

if TYPE_CHECKING:
    from rpcnet.client import RpcClient

__all__ = ["ServiceProxy"]


class ServiceProxy:
    """Methods of a @service class, as calls."""

    def __init__(self, client: "RpcClient", cls: type) -> None:
        prefix = service_name(cls)
        for name in method_names(cls):
            signature = read_signature(_unbound(cls, name), f"{prefix}.{name}")
            setattr(self, name, _caller(client, f"{prefix}.{name}", signature))


def _unbound(cls: type, name: str) -> Callable[..., Any]:
    """The function behind a method, bound to nothing: only its annotations are read."""
    function: Callable[..., Any] = getattr(cls, name).__get__(object())
    return function


def _caller(client: "RpcClient", name: str, signature: Signature) -> Callable[..., Any]:
    response = signature.response
    calls: dict[int, Callable[..., Any]] = {
        UNARY: client.call,
        CLIENT_STREAMING: client.call_client_streaming,
        SERVER_STREAMING: client.call_server_streaming,
        BIDIRECTIONAL: client.call_streaming,
    }
    call = calls[signature.shape]
    kind = type(None) if response is None else response

    def invoke(argument: Any, **options: Any) -> Any:
        return call(name, argument, response=kind, **options)

    return invoke
