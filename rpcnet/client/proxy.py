"""A @service class seen from its caller: an object with the same methods, each of them a call.

Tests: tests/rpcnet/test_service.py and test_one_page.py.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rpcnet.service import Signature, method_names, service_name, service_signature
from rpcnet.wire.frame import BIDIRECTIONAL, CLIENT_STREAMING, SERVER_STREAMING, UNARY

if TYPE_CHECKING:
    from rpcnet.client import RpcClient

__all__ = ["ServiceProxy"]


class ServiceProxy:
    """Methods of a @service class, as calls."""

    def __init__(self, client: "RpcClient", cls: type) -> None:
        prefix = service_name(cls)
        for name in method_names(cls):
            setattr(self, name, _caller(client, f"{prefix}.{name}", service_signature(cls, name)))


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

    invoke.__name__ = invoke.__qualname__ = name  # what Python's text of a wrong call names
    return invoke
