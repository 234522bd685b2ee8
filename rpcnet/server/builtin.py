"""The methods that every server has: `rpcnet.health/…` and `rpcnet.reflection/…`.

They are made when the first of them is called. Interceptors of the server run around them as around all methods.

Tests: tests/rpcnet/test_health.py and test_reflection.py.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from rpcnet.errors import NotFound, PermissionDenied
from rpcnet.health import CHECK, WATCH, Health
from rpcnet.reflection import DESCRIBE, LIST, MethodDescription, described
from rpcnet.service import LEFT_OUT, RESERVED, Method, typed_method

__all__ = ["Builtins"]

DEPTH = 64
"""Of schemas, whatever `max_depth` the server has."""


class Builtins:
    """The built-in methods of one server."""

    def __init__(self, registered: Mapping[str, Method], reflection: bool | None, is_local: bool) -> None:
        """`registered` is the methods of the server's user, as they come; `reflection` is that of RpcConfig."""
        self.health = Health()
        self._registered = registered
        self._reflects = is_local if reflection is None else reflection
        self._methods: dict[str, Method] = {}

    def method(self, name: str) -> Method | None:
        """The built-in method of this name."""
        return self._all().get(name) if name.startswith(RESERVED) else None

    def _all(self) -> Mapping[str, Method]:
        if not self._methods:
            handlers: dict[str, Callable[..., Any]] = {
                CHECK: self.health.check,
                WATCH: self.health.watch,
                LIST: self._list,
                DESCRIBE: self._describe,
            }
            self._methods = {
                name: typed_method(name, handler, LEFT_OUT, LEFT_OUT, None, DEPTH) for name, handler in handlers.items()
            }
        return self._methods

    async def _list(self, prefix: str = "") -> AsyncIterator[MethodDescription]:
        """Every method whose name begins so, in the order of names."""
        self._check_allowed()
        # Built-in ones are not what somebody looks for who names nothing.
        methods = self._all() if prefix.startswith(RESERVED) else self._registered
        for method in [methods[name] for name in sorted(methods) if name.startswith(prefix)]:
            yield described(method)

    async def _describe(self, method: str) -> MethodDescription:
        """One method."""
        self._check_allowed()
        found = self._registered.get(method) or self.method(method)
        if found is None:
            raise NotFound(f"no method {method[:100]!r} is registered")
        return described(found)

    def _check_allowed(self) -> None:
        if not self._reflects:
            raise PermissionDenied("this server does not tell its methods; RpcConfig(reflection=True) lets it")
