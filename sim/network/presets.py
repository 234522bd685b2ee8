"""Links by name, each with the source of its figures.

Settings are edge data as a user would write them. They are starting points for tests, not measurements of anybody's
network; where a source gives a range, the middle of it. Text only. Tests: tests/sim/network/test_network.py.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

__all__ = ["PRESETS", "Preset"]


class Preset(Struct, frozen=True):
    settings: Mapping[str, Any]
    source: str


PRESETS: dict[str, Preset] = {
    "loopback": Preset({"latency": "25us"}, "Linux loopback, round trip of about 50 µs of a small TCP message"),
    "lan": Preset(
        {"latency": "uniform(0.1ms, 0.5ms)"},
        "switched Ethernet in one building: store-and-forward and host stacks, well below a millisecond",
    ),
    "datacenter": Preset(
        {"latency": "lognormal(0.25ms, 0.4)"},
        "Pingmesh (Guo et al., SIGCOMM 2015): median round trip between pods of 268 µs, with a long tail",
    ),
    "wan": Preset(
        {"latency": "normal(20ms, 3ms)", "loss": "0.1%"},
        "round trips of 40 ms between cities of one continent; loss as in backbone service agreements (≤ 0.1 %)",
    ),
    "cross-region": Preset(
        {"latency": "normal(75ms, 5ms)", "loss": "0.2%"},
        "round trips of about 150 ms between continents (speed of light in fibre, 200 km/ms, over 15,000 km)",
    ),
    "wifi": Preset(
        {"latency": "lognormal(2ms, 0.8)", "loss": "1%"},
        "802.11 access: contention gives a log-normal tail; losses after retries of the order of 1 %",
    ),
    "mobile": Preset(
        {"latency": "lognormal(30ms, 0.5)", "loss": "1%", "bandwidth": "10Mbit/s"},
        "LTE access: 50–70 ms round trips with a heavy tail (Huang et al., MobiSys 2012)",
    ),
}
