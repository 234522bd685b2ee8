"""What a client does: one coroutine for each form in which a call can be made, read and let go."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from rpcnet import BidirectionalStream, FailedPrecondition, RpcClient
from tests.rpcnet.chaos.items import generated, listed, write, written
from tests.rpcnet.chaos.payload import item
from tests.rpcnet.chaos.record import Seen

__all__ = ["make"]


async def make(client: RpcClient, seen: Seen) -> None:
    """Make a call as its plan says, and note how it ended."""
    call = seen.call
    seen.client = client
    seen.begin()
    task = asyncio.create_task(FORMS[call.shape, call.form](client, seen), name=f"caller {call.number}")
    if call.cancel_after is not None:

        def cancel() -> None:
            seen.letting_go("the caller is cancelled")
            seen.cancelled = True
            task.cancel()

        asyncio.get_running_loop().call_later(call.cancel_after, cancel)
    await asyncio.wait([task])
    try:
        await task
        seen.end("ok")
    except BaseException as error:
        seen.end(error.with_traceback(None))


def _options(seen: Seen) -> dict[str, Any]:
    call = seen.call
    options: dict[str, Any] = {}
    for name in ("timeout", "idle_timeout"):
        if getattr(call, name) != "default" and not (name == "idle_timeout" and call.shape == "unary"):
            options[name] = getattr(call, name)
    if call.metadata:
        options["metadata"] = {"call": str(call.number)}
    return options


# Reading.


async def _read(seen: Seen, stream: Any) -> bool:
    """Read a stream that has a name; False where it was left before its end."""
    call = seen.call
    try:
        if call.leave_after == 0:
            return False
        async for payload in stream:
            seen.got(payload)
            if seen.read == call.leave_after:
                return False
            if call.slow:
                await asyncio.sleep(call.slow)
                seen.client_moved = seen.now()
    except Exception:
        await _is_over(seen, stream)
        raise
    seen.trailers, seen.metadata = dict(stream.trailers), dict(stream.metadata)
    await _is_over(seen, stream)
    return True


async def _is_over(seen: Seen, stream: Any) -> None:
    """After its end, whatever it was, a stream ends in order."""
    seen.tell("its stream has ended")
    try:
        await anext(stream)
    except StopAsyncIteration:
        return
    except Exception as error:
        seen.wrong.append(f"after its end, read once more, it raised {error!r:.200}")
    else:
        seen.wrong.append("after its end, read once more, it gave an item")


def _leave(seen: Seen, stream: Any) -> None:
    if seen.call.leave_by == "abort":
        stream.abort()
    seen.end("left")


def _abort_later(seen: Seen, abort: Callable[[], None]) -> None:
    if seen.call.abort_after is None:
        return

    def do() -> None:
        seen.letting_go("somebody calls abort()")
        abort()

    asyncio.get_running_loop().call_later(seen.call.abort_after, do)


# The forms.


async def _unary(client: RpcClient, seen: Seen) -> None:
    seen.got(await client.call("unary", item(seen.call.number, 0, seen.call.sends[0]), **_options(seen)))


async def _upload_list(client: RpcClient, seen: Seen) -> None:
    items = list(listed(seen)) if seen.call.raises_at is None else listed(seen)
    seen.got(await client.call_client_streaming("upload", items, **_options(seen)))


async def _upload_generator(client: RpcClient, seen: Seen) -> None:
    seen.got(await client.call_client_streaming("upload", generated(seen), **_options(seen)))


async def _upload_stream(client: RpcClient, seen: Seen) -> None:
    async with BidirectionalStream[bytes](buffer=1 + seen.call.number % 3) as items:
        writer = asyncio.create_task(write(seen, items.sender.send, items.sender.close, items.abort), name="writer")
        try:
            seen.got(await client.call_client_streaming("upload", items, **_options(seen)))
            seen.end("ok")
        except BaseException as error:
            seen.end(error)
            if type(error) is FailedPrecondition:
                items.abort()  # the client was closed already: no call has taken them
            raise
        finally:
            await written(seen, writer)


def _request(seen: Seen) -> bytes:
    return item(seen.call.number, 0, seen.call.sends[0])


async def _download_for(client: RpcClient, seen: Seen) -> None:
    """Over a stream without a name, which is let go by `break`."""
    call = seen.call
    async for payload in client.call_server_streaming("download", _request(seen), **_options(seen)):
        seen.got(payload)
        if call.leave_after is not None and seen.read >= call.leave_after:
            seen.end("left")
            break
        if call.slow:
            await asyncio.sleep(call.slow)
            seen.client_moved = seen.now()


async def _download_block(client: RpcClient, seen: Seen) -> None:
    async with client.call_server_streaming("download", _request(seen), **_options(seen)) as stream:
        if not await _read(seen, stream):
            _leave(seen, stream)


async def _download_receive(client: RpcClient, seen: Seen) -> None:
    stream = client.call_server_streaming("download", _request(seen), **_options(seen))
    while seen.call.leave_after is None or seen.read < seen.call.leave_after:
        try:
            seen.got(await stream.receive())
        except StopAsyncIteration:
            await _is_over(seen, stream)
            return
        except Exception:
            await _is_over(seen, stream)
            raise
        if seen.call.slow:
            await asyncio.sleep(seen.call.slow)
            seen.client_moved = seen.now()
    _leave(seen, stream)


async def _both_items(client: RpcClient, seen: Seen) -> None:
    items: Any = generated(seen) if seen.call.form == "generator" else listed(seen)
    async with client.call_streaming("both", items, **_options(seen)) as stream:
        _abort_later(seen, stream.abort)
        if not await _read(seen, stream):
            _leave(seen, stream)


async def _both_stream(client: RpcClient, seen: Seen) -> None:
    items = BidirectionalStream[bytes](buffer=1 + seen.call.number % 3)
    stream = client.call_streaming("both", items, **_options(seen))
    writer = asyncio.create_task(write(seen, items.sender.send, items.sender.close, items.abort), name="writer")
    _abort_later(seen, items.abort)
    await _both_read(seen, stream, writer)
    items.abort()


async def _both_own(client: RpcClient, seen: Seen) -> None:
    stream = client.call_streaming("both", **_options(seen))
    writer = asyncio.create_task(write(seen, stream.send, stream.end, stream.abort), name="writer")
    _abort_later(seen, stream.abort)
    await _both_read(seen, stream, writer)


async def _both_read(seen: Seen, stream: Any, writer: "asyncio.Task[None]") -> None:
    try:
        async with stream:
            if not await _read(seen, stream):
                _leave(seen, stream)
        seen.end("ok")
    except BaseException as error:
        seen.end(error)
        raise
    finally:
        await written(seen, writer)


async def _both_lockstep(client: RpcClient, seen: Seen) -> None:
    """Each item is sent when the answer to the one before has come."""
    async with client.call_streaming("both", **_options(seen)) as stream:
        _abort_later(seen, stream.abort)
        for index, payload in enumerate(listed(seen)):
            await stream.send(payload)
            seen.client_moved = seen.now()
            try:
                seen.got(await stream.receive())
            except StopAsyncIteration:
                seen.wrong.append(f"its stream ended in order before answer {index}")
                return
        await stream.end()
        try:
            await stream.receive()
        except StopAsyncIteration:
            return
        seen.wrong.append("its stream gave more answers than there are")


FORMS: Final[dict[tuple[str, str], Callable[[RpcClient, Seen], Awaitable[None]]]] = {
    ("unary", "call"): _unary,
    ("upload", "list"): _upload_list,
    ("upload", "generator"): _upload_generator,
    ("upload", "stream"): _upload_stream,
    ("download", "for"): _download_for,
    ("download", "block"): _download_block,
    ("download", "receive"): _download_receive,
    ("both", "list"): _both_items,
    ("both", "generator"): _both_items,
    ("both", "stream"): _both_stream,
    ("both", "own"): _both_own,
    ("both", "lockstep"): _both_lockstep,
}
