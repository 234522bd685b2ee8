"""`ClusterClient`: an RpcClient over the live members of a cluster that carry certain tags.

Which member a call goes to is rpcnet/balance/endpoints.py's matter, by the rule of a policy; a stream that goes on
elsewhere is rpcnet/balance/resume.py's.

Tests: tests/rpcnet/balance/test_client.py, in both worlds.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any, NoReturn, Self, TypeVar, overload

from rpcnet import address as addresses
from rpcnet import observe
from rpcnet.balance.endpoints import Endpoint, Endpoints, MemberCall
from rpcnet.balance.policy import Policy, RoundRobin
from rpcnet.balance.resume import Resume, ResumedStream
from rpcnet.client.call import ClientCall
from rpcnet.client.client import DEFAULT, Items, RpcClient, Seconds
from rpcnet.client.reconnect import Dialer
from rpcnet.client.stream import ClientStream
from rpcnet.cluster import Cluster, Member
from rpcnet.cluster.swim import tags as tag_rules
from rpcnet.config import RpcConfig
from rpcnet.errors import Metadata
from rpcnet.flow.deadline import seconds
from rpcnet.interceptors import Interceptor
from rpcnet.tls import check_context
from rpcnet.wire.frame import CLIENT_STREAMING

__all__ = ["ClusterClient"]

T = TypeVar("T")


class ClusterClient(RpcClient):
    """`async with ClusterClient(cluster, role="worker", service="rpc") as workers`, then call as with an RpcClient.

    Each call goes to one member that is up, carries the tags and announces the service: to suspects only where nobody
    is alive. Calls of a member that fails end with Unavailable or StreamTransportError as soon as the cluster says so;
    those of one that leaves run to their end. A call that no handler has seen is made again, at another member.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        service: str = "rpc",
        policy: Policy | None = None,
        where: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
        config: RpcConfig | None = None,
        random: Random | None = None,
        wall_clock: Callable[[], float] | None = None,
        interceptors: Iterable[Interceptor] = (),
        **tags: str,
    ) -> None:
        """`policy`: RoundRobin() unless another one is given. `where`: tags whose names are options here.

        The other options are as RpcClient.connect takes them. The cluster must run when the client is opened. Raises
        InvalidTag for a tag that no member can carry, as a number is.
        """
        policy = RoundRobin() if policy is None else policy
        has_both = callable(getattr(policy, "pick", None)) and isinstance(getattr(policy, "sticky", None), bool)
        if isinstance(policy, type) or not has_both:
            raise TypeError(f"a policy is an object with `sticky` and `pick(candidates, call)`, not {policy!r}")
        check_context(tls, "client")
        settings = config or RpcConfig()
        wanted = {**(where or {}), **tags}
        tag_rules.check(wanted, deletes=False)

        def dialer(address: str) -> Dialer:
            to = addresses.parse(address)
            to.check_secure(tls is not None, settings.insecure)
            return Dialer(to, tls, settings, random, wall_clock, None)

        endpoints = Endpoints(cluster, wanted, service, policy, dialer, observe.current())
        self._endpoints = endpoints
        self._avoids: Sequence[Endpoint] = ()
        """What the next call that streams should avoid."""
        self._begin(str(endpoints), settings, endpoints, interceptors)

    @classmethod
    def connect(cls, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a ClusterClient has no one address: write `async with ClusterClient(cluster, …) as client`")

    @property
    def members(self) -> list[Member]:
        """The members that calls may go to now, by name."""
        return self._endpoints.members

    async def __aenter__(self) -> Self:
        return await self.open()

    # Streams that go on elsewhere.

    @overload
    def call_server_streaming(
        self,
        method: str,
        payload: Any = b"",
        *,
        response: None = None,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
        resume: None = None,
    ) -> ClientStream[bytes]: ...
    @overload
    def call_server_streaming(
        self,
        method: str,
        payload: Any = b"",
        *,
        response: type[T],
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
        resume: None = None,
    ) -> ClientStream[T]: ...
    @overload
    def call_server_streaming(
        self,
        method: str,
        payload: Any = b"",
        *,
        response: type[T],
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
        resume: Resume[T],
    ) -> ResumedStream[T]: ...
    @overload
    def call_server_streaming(
        self,
        method: str,
        payload: Any = b"",
        *,
        response: None = None,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
        resume: Resume[bytes],
    ) -> ResumedStream[bytes]: ...
    def call_server_streaming(
        self, method: str, payload: Any = b"", *, timeout: Seconds = None, resume: Any = None, **options: Any
    ) -> Any:
        """As RpcClient's. `resume`: where its member is lost, it gets a Progress and gives a request for another."""
        call = super().call_server_streaming
        return self._resumed(
            lambda request, left: call(method, request, timeout=left, **options), payload, timeout, resume
        )

    @overload
    def call_streaming(
        self,
        method: str,
        items: Items | None = None,
        *,
        arguments: Mapping[str, Any] | None = None,
        response: None = None,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
        resume: None = None,
    ) -> ClientStream[bytes]: ...
    @overload
    def call_streaming(
        self,
        method: str,
        items: Items | None = None,
        *,
        arguments: Mapping[str, Any] | None = None,
        response: type[T],
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
        resume: None = None,
    ) -> ClientStream[T]: ...
    @overload
    def call_streaming(
        self,
        method: str,
        items: Items,
        *,
        arguments: Mapping[str, Any] | None = None,
        response: type[T],
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
        resume: Resume[T],
    ) -> ResumedStream[T]: ...
    @overload
    def call_streaming(
        self,
        method: str,
        items: Items,
        *,
        arguments: Mapping[str, Any] | None = None,
        response: None = None,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
        resume: Resume[bytes],
    ) -> ResumedStream[bytes]: ...
    def call_streaming(
        self, method: str, items: Any = None, *, timeout: Seconds = None, resume: Any = None, **options: Any
    ) -> Any:
        """As RpcClient's. `resume`: where its member is lost, it gets a Progress and gives items for another one."""
        if resume is not None and items is None:
            raise TypeError("a stream that you write cannot be resumed for you: give its items")
        call = super().call_streaming

        def begin(given: Any, left: Seconds) -> ClientStream[Any]:
            if resume is not None and given is None:
                raise TypeError("resume gave None and no items; nobody would write that stream")
            return call(method, given, timeout=left, **options)

        return self._resumed(begin, items, timeout, resume)

    @overload
    def call_streaming_with_timeout(
        self,
        method: str,
        items: Items | None,
        timeout: float | None,
        *,
        response: None = None,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
        resume: None = None,
    ) -> ClientStream[bytes]: ...
    @overload
    def call_streaming_with_timeout(
        self,
        method: str,
        items: Items | None,
        timeout: float | None,
        *,
        response: type[T],
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
        resume: None = None,
    ) -> ClientStream[T]: ...
    @overload
    def call_streaming_with_timeout(
        self,
        method: str,
        items: Items,
        timeout: float | None,
        *,
        response: type[T],
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
        resume: Resume[T],
    ) -> ResumedStream[T]: ...
    @overload
    def call_streaming_with_timeout(
        self,
        method: str,
        items: Items,
        timeout: float | None,
        *,
        response: None = None,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
        resume: Resume[bytes],
    ) -> ResumedStream[bytes]: ...
    def call_streaming_with_timeout(self, method: str, items: Any, timeout: float | None, **options: Any) -> Any:
        """`call_streaming` with `idle_timeout=timeout`, and with `resume` where it is given."""
        return self.call_streaming(method, items, idle_timeout=timeout, **options)

    def _opened(
        self,
        method: str,
        shape: int,
        deadline: float | None,
        idle: float | None,
        metadata: Metadata | None,
        request: tuple[bytes, int] | None = None,
        arguments: tuple[bytes, int] | None = None,
    ) -> ClientCall:
        self._endpoints.check_open()
        single = shape == CLIENT_STREAMING
        return MemberCall(self._avoids, self._loop, method, shape, deadline, idle, single, request, metadata, arguments)

    def _resumed(
        self, call: Callable[[Any, Seconds], ClientStream[Any]], first: Any, timeout: Seconds, resume: Any
    ) -> Any:
        if resume is None:
            return call(first, timeout)
        if not callable(resume):
            raise TypeError(f"resume must be a function of a Progress, not {type(resume).__name__}")
        loop = asyncio.get_running_loop()
        allowed = None if timeout is DEFAULT else seconds("timeout", timeout)
        until = None if allowed is None else loop.time() + allowed

        def begin(given: Any, lost: ClientStream[Any] | None) -> ClientStream[Any]:
            self._avoids = () if lost is None else _call_of(lost).lost
            try:
                return call(given, None if until is None else max(0.0, until - loop.time()))
            finally:
                self._avoids = ()

        return ResumedStream(begin, _member_of, first, resume)


def _call_of(stream: ClientStream[Any]) -> MemberCall:
    call = stream._call
    assert isinstance(call, MemberCall)
    return call


def _member_of(stream: ClientStream[Any]) -> str:
    endpoint = _call_of(stream).endpoint
    return "" if endpoint is None else endpoint.name
