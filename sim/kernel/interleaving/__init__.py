"""Which ready task of a node goes next, where that is not first come, first served: a file a strategy.

`interleaving` says which strategies there are and hands each node its own; `chooser` keeps what is ready and asks the
strategy. Knows no loop, no simulation, no network. Tests: tests/sim/kernel/interleaving.
"""
