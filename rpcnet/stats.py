"""What a server or client has in hand at a moment. All but connections is 0 when every call was let go.

What a server has refused is counted since it was started.

Tests: tests/rpcnet/test_letting_go.py.
"""

from dataclasses import dataclass

from rpcnet.observe import Observer

__all__ = ["RpcStats"]


@dataclass(frozen=True, slots=True)
class RpcStats:
    """Counts of this moment, and of what was refused."""

    running_handlers: int
    """Handlers that run; for a client: that may still run for it, as far as it knows."""
    open_streams: int
    queued_bytes: int
    connections: int
    refused_calls: int = 0
    """Of a server, since it was started: calls beyond max_handlers, or the max_running of their method."""
    refused_connections: int = 0
    """Of a server, since it was started: connections beyond max_connections."""

    def record_closed(self, observer: Observer | None, side: str) -> None:
        """Tell the observer what was left when this end closed."""
        if observer is not None:
            observer.record(
                "rpc_closed",
                side=side,
                handlers=self.running_handlers,
                streams=self.open_streams,
                queued_bytes=self.queued_bytes,
                connections=self.connections,
            )
