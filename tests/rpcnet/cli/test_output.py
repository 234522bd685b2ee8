"""Output that neither blocks its loop nor outlives its reader; over real pipes, as only they can be full."""

import asyncio
import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, TextIO

import pytest

from rpcnet.cli.output import Output, while_read


class Pipe(NamedTuple):
    reader: BinaryIO
    writer: TextIO


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """What a command writes to, and its reading end."""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as writing, os.fdopen(reader, "rb") as reading:
        yield Pipe(reading, writing)


def test_a_full_pipe_does_not_hold_up_the_loop(pipe: Pipe) -> None:
    data = bytes(range(256)) * 4096

    async def main() -> bytes:
        writing = asyncio.ensure_future(Output(pipe.writer).write(data))
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not writing.done(), "nobody has read"
        came = await asyncio.to_thread(pipe.reader.read, len(data))
        await writing
        return bytes(came)

    assert asyncio.run(main()) == data


def test_a_reader_that_goes_ends_what_waits(pipe: Pipe) -> None:
    ended: list[str] = []

    async def work(output: Output) -> int:
        await output.line(b"one")
        pipe.reader.close()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")
        return 0

    async def main() -> int:
        output = Output(pipe.writer)
        return await while_read(output, work(output))

    assert (asyncio.run(main()), ended) == (141, ["work"])


def test_a_reader_that_goes_ends_a_write(pipe: Pipe) -> None:
    async def work(output: Output) -> int:
        for _ in range(100):  # far more than a pipe holds
            await output.write(b"x" * 100_000)
        return 0

    async def main() -> int:
        output = Output(pipe.writer)
        pipe.reader.close()
        return await while_read(output, work(output))

    assert asyncio.run(main()) == 141


def test_cancelled_output_cancels_the_work(pipe: Pipe) -> None:
    ended: list[str] = []

    async def work() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")
        return 0

    async def main() -> None:
        task = asyncio.ensure_future(while_read(Output(pipe.writer), work()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ended == ["work"]


def test_the_result_and_errors_of_work_are_handed_on(pipe: Pipe) -> None:
    async def well() -> int:
        return 7

    async def badly() -> int:
        raise ValueError("no")

    assert asyncio.run(while_read(Output(pipe.writer), well())) == 7
    with pytest.raises(ValueError, match="no"):
        asyncio.run(while_read(Output(pipe.writer), badly()))


def test_output_in_memory_is_written_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(Output().line("✓".encode() + b"\xff"))
    assert capsys.readouterr().out == "✓\\xff\n"
