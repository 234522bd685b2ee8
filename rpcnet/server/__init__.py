"""What serves calls: the server, its connections, and a call at its handler's end. This file is a list."""

from rpcnet.server.server import RpcServer

__all__ = ["RpcServer"]
