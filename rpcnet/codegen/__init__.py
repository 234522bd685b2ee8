"""`rpcnet-gen`: writes the server and the client of a service class as a Python module. This file is a list."""

from rpcnet.codegen.module import CodegenError, generate

__all__ = ["CodegenError", "generate"]
