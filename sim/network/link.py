"""What lies on one way between two machines: latency, loss, bandwidth and the rest of an edge's data.

A link is a value. Links of a route are joined into one by `join`: latencies add, losses multiply out, the narrowest
bandwidth counts. What befalls a packet on it is sim.network.fate's. Tests: tests/sim/network/test_latency.py,
test_network.py.
"""

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Any, Self

from msgspec import Struct
from msgspec.structs import replace

from sim.network.latency import Constant, Distribution, parse_latency
from sim.network.presets import PRESETS
from sim.network.quantity import QuantityError, parse_bandwidth, parse_bytes, parse_probability
from sim.network.spelling import did_you_mean

__all__ = ["Link", "join", "spelt_out"]


class _Sum(Struct, frozen=True):
    """Several latencies one after another."""

    parts: tuple[Distribution, ...]

    @property
    def mean(self) -> float:
        return sum(part.mean for part in self.parts)

    def sampler(self, random: Random) -> Callable[[], float]:
        draws = [part.sampler(random) for part in self.parts]
        return lambda: sum(draw() for draw in draws)


class Link(Struct, frozen=True, kw_only=True):
    """One way between two neighbours. Probabilities are per packet."""

    latency: Distribution = Constant(0.0005)
    jitter: Distribution | None = None
    """Added to the latency, drawn for itself."""
    loss: float = 0.0
    duplicate: float = 0.0
    """Datagrams only, as TCP removes copies."""
    reorder: float = 0.0
    """A datagram so chosen takes another latency on top, and so is overtaken."""
    corrupt: float = 0.0
    """A datagram so chosen arrives with one bit flipped; TCP's checksum turns it into a loss."""
    bandwidth: float | None = None
    """Bytes a second; None = unlimited."""
    queue: float = 256 * 1024
    """Bytes that wait for the wire before packets are dropped; matters with a bandwidth only."""

    @classmethod
    def of(cls, settings: Mapping[str, Any], base: "Link | None" = None) -> Self:
        """From edge data: `preset` and the fields above, as numbers or text. Raises QuantityError naming the key."""
        settings = spelt_out(settings)
        values: dict[str, Any] = {}
        for key, value in settings.items():
            if key not in _PARSERS:
                hint = did_you_mean(key, ["preset", *_PARSERS])
                raise QuantityError(f"unknown link setting {key!r}; {hint}allowed: preset, {', '.join(_PARSERS)}")
            try:
                values[key] = None if value is None and key in _OPTIONAL else _PARSERS[key](value)
            except QuantityError as error:
                raise QuantityError(f"{key}: {error}") from None
        return replace(base, **values) if isinstance(base, cls) else cls(**values)

    @property
    def plain(self) -> bool:
        """Latency and nothing else: the fast way through the network."""
        return not (self.loss or self.duplicate or self.reorder or self.corrupt or self.bandwidth)

    @property
    def delay(self) -> Distribution:
        """Latency and jitter together."""
        return self.latency if self.jitter is None else _Sum((self.latency, self.jitter))


_PARSERS: dict[str, Callable[[Any], Any]] = {
    "latency": parse_latency,
    "jitter": parse_latency,
    "loss": parse_probability,
    "duplicate": parse_probability,
    "reorder": parse_probability,
    "corrupt": parse_probability,
    "bandwidth": parse_bandwidth,
    "queue": parse_bytes,
}
assert set(_PARSERS) == set(Link.__struct_fields__)
_OPTIONAL = ("jitter", "bandwidth")
"""What a link may be without: None says so."""


def spelt_out(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Edge data with a preset's keys in its place; keys of its own win. Raises QuantityError."""
    settings = dict(settings)
    if (preset := settings.pop("preset", None)) is not None:
        if preset not in PRESETS:
            hint = did_you_mean(preset, PRESETS)
            raise QuantityError(f"unknown preset {preset!r}; {hint}allowed: {', '.join(PRESETS)}")
        settings = {**PRESETS[preset].settings, **settings}
    return settings


def join(links: Iterable[Link]) -> Link:
    """The links of a route as one. No link at all is a route within one machine."""
    links = tuple(links)
    if len(links) == 1:
        return links[0]

    def either(name: str) -> float:
        passed = 1.0
        for link in links:
            passed *= 1 - getattr(link, name)
        return 1 - passed

    narrow = [link for link in links if link.bandwidth]
    return Link(
        latency=_Sum(tuple(link.delay for link in links)),
        loss=either("loss"),
        duplicate=either("duplicate"),
        reorder=either("reorder"),
        corrupt=either("corrupt"),
        bandwidth=min((link.bandwidth for link in narrow if link.bandwidth), default=None),
        queue=min((link.queue for link in narrow), default=Link().queue),
    )
