"""Puts calls on a connection: at once where that can be, else as soon as there is a connection with a free place.

Also those that a server has refused unseen, again. Owns the tasks that do so. Calls refer to it, it refers to no handle
and to no client, so that a client that is dropped is freed whatever still runs here.

Tests, in both worlds: tests/rpcnet/client/test_connection.py and tests/rpcnet/test_runs_once.py.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from rpcnet.client.call import ClientCall
from rpcnet.client.connection import ClientConnection
from rpcnet.client.reconnect import Dials
from rpcnet.errors import DeadlineExceeded, RpcError, Unavailable

__all__ = ["CallLauncher"]


class CallLauncher:
    """Launches the calls of one client."""

    __slots__ = ("_dialer", "_loop", "late_timer_grace", "tasks")

    def __init__(self, dialer: Dials, late_timer_grace: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._dialer = dialer
        self.late_timer_grace = late_timer_grace
        self.tasks: dict[asyncio.Task[None], ClientCall] = {}

    def launch(self, call: ClientCall) -> None:
        """Put a new call on the wire, now or later. What goes wrong ends the call, and is told there."""
        call.launcher = self
        try:
            connection = self._dialer.at_once(call)
        except RpcError as error:
            call.fail(error.with_traceback(None))
            return
        if connection is not None:
            self._begin(call, connection)
        elif call.deadline is not None and call.deadline <= self._loop.time():
            call.fail(DeadlineExceeded(f"call {call.method!r} had no time left when it was to be sent"))
        else:
            call.started_at = self._loop.time()
            call.opener = self.spawn(self._begin_later(call), call)

    def again(self, call: ClientCall) -> None:
        """Put a call on another connection: its server has said that no handler saw it."""
        call.started_at = self._loop.time()
        call.opener = self.spawn(self._begin_later(call), call)

    def end_all(self, why: str) -> None:
        """End the calls for which tasks run: those without a place, and those whose items are being sent."""
        for call in list(self.tasks.values()):
            if not call.finished:
                call.abort(why)

    def waits_for(self) -> str:
        """What those wait for who are not on the wire."""
        return self._dialer.waits_for()

    def spawn(self, coroutine: Coroutine[Any, Any, None], call: ClientCall) -> asyncio.Task[None]:
        """A task for a call, which ends with the call."""
        task = self._loop.create_task(coroutine, name=f"rpcnet call {call.method}")
        self.tasks[task] = call
        task.add_done_callback(self.tasks.__delitem__)
        return task

    def _begin(self, call: ClientCall, connection: ClientConnection) -> None:
        try:
            went_along = connection.start(call)
        except RpcError as error:
            # A traceback leads to its frames, these to the call: a cycle that would keep the client, too.
            call.fail(error.with_traceback(None))
            return
        if went_along:
            return
        if call.request is not None:
            call.pump = self.spawn(call.send_request(), call)
        elif call.opener is None:
            call.opener = self.spawn(self._send_first(call), call)

    async def _send_first(self, call: ClientCall) -> None:
        """Arguments that did not fit into OPEN. If the call ends meanwhile, its end says why."""
        try:
            await call.send_again()
        except RpcError as error:
            call.fail(error.with_traceback(None))
        if call.opener is asyncio.current_task():
            call.opener = None

    async def _begin_later(self, call: ClientCall) -> None:
        try:
            # A call that a server has refused unseen is made again at most so often: it waits each pause out.
            connection = await self._dialer.place(call, wait_a_pause=call.attempts > 0)
            if not call.finished:
                self._begin(call, connection)
                await call.send_again()
        except Unavailable as error:
            call.cut(error.with_traceback(None))
        except RpcError as error:
            call.fail(error.with_traceback(None))
        if call.opener is asyncio.current_task():
            call.opener = None
