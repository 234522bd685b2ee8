"""What a caller holds: the client, its connection, and a call at its caller's end. This file is a list."""

from rpcnet.client.client import DEFAULT, Default, RpcClient

__all__ = ["DEFAULT", "Default", "RpcClient"]
