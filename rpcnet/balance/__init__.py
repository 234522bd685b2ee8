"""Calls to whichever member of a cluster is fit for them. This file is a list."""

from rpcnet.balance.client import ClusterClient
from rpcnet.balance.policy import (
    Candidate,
    ConsistentHash,
    LeastOutstanding,
    Outgoing,
    Policy,
    PowerOfTwoChoices,
    RoundRobin,
)
from rpcnet.balance.resume import Progress, ResumedStream

__all__ = [
    "Candidate",
    "ClusterClient",
    "ConsistentHash",
    "LeastOutstanding",
    "Outgoing",
    "Policy",
    "PowerOfTwoChoices",
    "Progress",
    "ResumedStream",
    "RoundRobin",
]
