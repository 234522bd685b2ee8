"""Clocks and randomness of the process, answered from the simulation while a node of it runs.

`time`, `datetime`, `random`, `os.urandom` and what stands on them (uuid, secrets) are replaced, and go on answering
with the real thing to everybody else: other threads, and code outside of nodes. Names that a module captured at import
(`from time import monotonic`) are rebound; classes are changed in place, so that `isinstance` and validators see the
types they know. Knows a node by its clocks and its randomness. Tests: test_clock_and_random.py.
"""

import datetime
import functools
import gc
import os
import random
import sys
import tempfile
import time
import types
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from sim.kernel.patches.rebind import default_arguments, instead, look_out, on_undo, put, replace
from sim.kernel.running import Source, on_a_node, running

__all__ = ["install"]


def install() -> None:
    """Put the dispatching functions in place. sim.kernel.patches calls it."""
    modules_own = getattr(random.random, "__self__", None)
    modules = ((time, _time()), (os, _os()), (random, _random()), (uuid, _uuid()), (sys.modules.get("ssl"), _ssl()))
    for module, functions in modules:
        for name, function in functions.items():
            if module is not None and hasattr(module, name):
                replace(module, name, function)
    _patch_datetime()
    _patch_random_seed()
    _patch_tempfile()

    def heed(captured: list[Any]) -> None:
        for method in captured:
            # `datetime.now` makes a new one each time: `default_factory=datetime.now` has one of its own.
            if isinstance(method, types.BuiltinMethodType) and method.__self__ in (datetime.datetime, datetime.date):
                now = getattr(method.__self__, method.__name__)
                if now != method:
                    instead(method, now)
        _unseed(one for one in captured if type(one) is random.Random and one is not modules_own)

    look_out((random.Random, datetime.datetime, datetime.date), heed)


def _time() -> dict[str, Callable[..., Any]]:
    def clock(real: Callable[[], Any], ask: Callable[[Source], float], nanoseconds: bool) -> Callable[[], Any]:
        if nanoseconds:
            return on_a_node(real, lambda source: round(ask(source) * 1e9))

        def function() -> Any:
            source = running()
            return real() if source is None else ask(source)

        return function

    def at_now(real: Callable[..., Any], position: int) -> Callable[..., Any]:
        """Functions of a struct_time that take now where none is given."""

        def simulated(source: Source, *args: Any) -> Any:
            return real(*args) if len(args) > position else real(*args, gmtime(source.wall_clock()))

        return on_a_node(real, simulated)

    def in_utc(source: Source, seconds: float | None = None) -> time.struct_time:
        """Simulated machines are in UTC: where the real one is must not matter."""
        return gmtime(source.wall_clock() if seconds is None else seconds)

    def mktime(source: Source, moment: Any) -> float:
        from calendar import timegm  # a millisecond, and hardly any program asks

        return float(timegm(moment))

    def clock_of(source: Source, which: int) -> float:
        if which in (time.CLOCK_PROCESS_CPUTIME_ID, time.CLOCK_THREAD_CPUTIME_ID):
            return source.processor_time()
        return source.wall_clock() if which in wall_clocks else source.monotonic()

    wall_clocks = (time.CLOCK_REALTIME, getattr(time, "CLOCK_TAI", time.CLOCK_REALTIME))
    gmtime, asctime = time.gmtime, time.asctime
    wall: Callable[[Source], float] = lambda source: source.wall_clock()  # noqa: E731
    steady: Callable[[Source], float] = lambda source: source.monotonic()  # noqa: E731
    worked: Callable[[Source], float] = lambda source: source.processor_time()  # noqa: E731
    functions: dict[str, Callable[..., Any]] = {
        "time": clock(time.time, wall, False),
        "time_ns": clock(time.time_ns, wall, True),
        "sleep": on_a_node(time.sleep, lambda source, seconds: source.sleep(seconds)),
    }
    for name in ("monotonic", "perf_counter", "process_time", "thread_time"):
        shown = worked if name in ("process_time", "thread_time") else steady
        functions[name] = clock(getattr(time, name), shown, False)
        functions[f"{name}_ns"] = clock(getattr(time, f"{name}_ns"), shown, True)
    functions["clock_gettime"] = on_a_node(time.clock_gettime, clock_of)
    functions["clock_gettime_ns"] = on_a_node(time.clock_gettime_ns, lambda *which: round(clock_of(*which) * 1e9))
    functions["localtime"] = on_a_node(time.localtime, in_utc)
    functions["gmtime"] = on_a_node(time.gmtime, in_utc)
    functions["ctime"] = on_a_node(time.ctime, lambda *arguments: asctime(in_utc(*arguments)))
    functions["mktime"] = on_a_node(time.mktime, mktime)
    functions["asctime"], functions["strftime"] = at_now(time.asctime, 0), at_now(time.strftime, 1)
    return functions


def _os() -> dict[str, Callable[..., Any]]:
    bytes_of: Callable[..., Any] = lambda source, size, *_: source.random.randbytes(size)  # noqa: E731
    return {
        "urandom": on_a_node(os.urandom, bytes_of),
        "getrandom": on_a_node(os.getrandom, bytes_of),
        "getpid": on_a_node(os.getpid, lambda source: getattr(source, "process_id", 1)),
        "getppid": on_a_node(os.getppid, lambda source: 1),
    }


def _ssl() -> dict[str, Callable[..., Any]]:
    """What programs ask for; OpenSSL's own are for handshakes, of which the trace has no bytes."""
    ssl: Any = sys.modules.get("ssl")
    if ssl is None:
        return {}
    return {"RAND_bytes": on_a_node(ssl.RAND_bytes, lambda source, size: source.random.randbytes(size))}


def _random() -> dict[str, Callable[..., Any]]:
    """The module's functions, which are methods of one hidden instance."""
    functions: dict[str, Callable[..., Any]] = {}
    for name in random.__all__:
        real = getattr(random, name)
        if isinstance(getattr(real, "__self__", None), random.Random):
            functions[name] = on_a_node(real, functools.partial(_ask_random, name))
    # SystemRandom and uuid read this captured name.
    functions["_urandom"] = on_a_node(os.urandom, lambda source, size: source.random.randbytes(size))
    return functions


def _uuid() -> dict[str, Callable[..., Any]]:
    """uuid4 stands on os.urandom; uuid1 asks a C library for the time, and the machine for its address."""

    def uuid1(source: Source, node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
        moment = int(source.wall_clock() * 1e7) + 0x01B21DD213814000  # 100 ns since 1582, RFC 9562 §5.1
        draw = source.random.getrandbits
        sequence = draw(14) if clock_seq is None else clock_seq
        return uuid.UUID(
            fields=(
                moment & 0xFFFFFFFF,
                moment >> 32 & 0xFFFF,
                moment >> 48 & 0x0FFF,
                sequence >> 8 & 0x3F,
                sequence & 0xFF,
                draw(48) | 1 << 40 if node is None else node,
            ),
            version=1,
        )

    return {"uuid1": on_a_node(uuid.uuid1, uuid1)}


def _ask_random(name: str, source: Source, *args: Any, **kwargs: Any) -> Any:
    return getattr(source.random, name)(*args, **kwargs)


class _Unseeded(random.Random):
    """What a generator becomes that nobody seeded, and that was not made on a node: a node draws from its own.

    As a module's `_random = random.Random()`, or a default argument, which are made when the module is imported.
    """

    def random(self) -> float:
        source = running()
        return super().random() if source is None else source.random.random()

    def getrandbits(self, k: int, /) -> int:
        source = running()
        return super().getrandbits(k) if source is None else source.random.getrandbits(k)

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        # It keeps every other one for the next time.
        source = running()
        return super().gauss(mu, sigma) if source is None else source.random.gauss(mu, sigma)

    def getstate(self) -> Any:
        source = running()
        return super().getstate() if source is None else source.random.getstate()

    def setstate(self, state: Any) -> None:
        source = running()
        if source is not None:
            source.random.setstate(state)  # were it to have one of its own, it would have it in the next run as well
            return
        self.__class__ = random.Random  # type: ignore[assignment]
        self.setstate(state)

    def __reduce__(self) -> Any:
        return random.Random, (), self.getstate()


def _patch_random_seed() -> None:
    """An unseeded `random.Random()` seeds itself from the node's entropy, or draws from the node that asks."""
    real = random.Random.seed

    @functools.wraps(real)
    def seed(self: random.Random, a: Any = None, version: int = 2) -> None:
        kind = type(self)
        source = running() if a is None else None
        if a is not None and kind is _Unseeded:
            self.__class__ = random.Random
        elif a is None and source is None and kind is random.Random:
            self.__class__ = _Unseeded
        elif source is not None and kind is not random.SystemRandom:
            a = source.random.getrandbits(256)
        real(self, a, version)

    put(random.Random, "seed", seed)
    on_undo(_reseeded)


def _reseeded() -> None:
    """Generators that nobody seeded draw for themselves again."""
    made: list[Any] = [one for one in gc.get_referrers(_Unseeded) if type(one) is _Unseeded]
    for one in made:
        one.__class__ = random.Random


def _unseed(made: Iterable[random.Random]) -> None:
    """Of those that were made before nobody knows whether they were seeded. Default arguments are not, as a rule:
    aiohttp draws the masks of its websockets from one.
    """
    for generator in default_arguments(made):
        generator.__class__ = _Unseeded


def _patch_tempfile() -> None:
    """tempfile keeps a generator of names for the process: on a node it would draw, or not, as those before did."""
    real: Any = tempfile._RandomNameSequence.rng.fget  # type: ignore[attr-defined]

    def rng(self: Any) -> random.Random:
        source = running()
        found: random.Random = real(self) if source is None else source.random
        return found

    put(tempfile._RandomNameSequence, "rng", property(rng))  # type: ignore[attr-defined]
    # The first call tries names out, and keeps what it found.
    unknown = tempfile.tempdir
    tempfile.gettempdir()
    on_undo(lambda: setattr(tempfile, "tempdir", unknown))


def _patch_datetime() -> None:
    """`datetime.now` and its like live in C types, whose dictionaries are changed directly."""

    utc = datetime.UTC

    def now(real: Any, source: Source, cls: Any, tz: datetime.tzinfo | None = None) -> Any:
        return cls.fromtimestamp(source.wall_clock(), tz)

    def utcnow(real: Any, source: Source, cls: Any) -> Any:
        return cls.fromtimestamp(source.wall_clock(), utc).replace(tzinfo=None)

    def today(real: Any, source: Source, cls: Any) -> Any:
        return cls.fromtimestamp(source.wall_clock())

    # Simulated machines are in UTC, as in _time.
    def from_timestamp(real: Any, source: Source, cls: Any, timestamp: float, tz: datetime.tzinfo | None = None) -> Any:
        found = real.__get__(None, cls)(timestamp, tz or utc)
        return found if tz is not None else found.replace(tzinfo=None)

    def date_from_timestamp(real: Any, source: Source, cls: Any, timestamp: float) -> Any:
        return cls(*time.gmtime(timestamp)[:3])

    def astimezone(real: Any, moment: Any, tz: datetime.tzinfo | None = None) -> Any:
        return real(moment if moment.tzinfo else moment.replace(tzinfo=utc), tz or utc)

    def timestamp(real: Any, moment: Any) -> Any:
        return real(moment if moment.tzinfo else moment.replace(tzinfo=utc))

    for kind, name, simulated in (
        (datetime.datetime, "now", now),
        (datetime.datetime, "utcnow", utcnow),
        (datetime.datetime, "fromtimestamp", from_timestamp),
        (datetime.date, "fromtimestamp", date_from_timestamp),
        (datetime.date, "today", today),
    ):
        real = vars(kind)[name]
        put(kind, name, classmethod(_classmethod(real, simulated)))
    for name, method in (("astimezone", astimezone), ("timestamp", timestamp)):
        put(datetime.datetime, name, _method(vars(datetime.datetime)[name], method))


def _method(real: Any, simulated: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def function(*args: Any, **kwargs: Any) -> Any:
        return real(*args, **kwargs) if running() is None else simulated(real, *args, **kwargs)

    return function


def _classmethod(real: Any, simulated: Callable[..., Any]) -> Callable[..., Any]:
    def function(cls: Any, *args: Any, **kwargs: Any) -> Any:
        source = running()
        if source is None:
            return real.__get__(None, cls)(*args, **kwargs)
        return simulated(real, source, cls, *args, **kwargs)

    function.__name__, function.__qualname__, function.__doc__ = real.__name__, real.__qualname__, real.__doc__
    return function
