"""The network between simulated machines: graph, routes, links, datagrams, connections. This file is a list."""

from sim.network.fabric import Network, UnknownNode
from sim.network.latency import Constant, LogNormal, Normal, Pareto, Samples, Uniform
from sim.network.link import Link
from sim.network.presets import PRESETS
from sim.network.quantity import QuantityError

__all__ = [
    "PRESETS",
    "Constant",
    "Link",
    "LogNormal",
    "Network",
    "Normal",
    "Pareto",
    "QuantityError",
    "Samples",
    "Uniform",
    "UnknownNode",
]
