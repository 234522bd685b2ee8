"""Stream connections: setting up, sending and receiving, losses, keep-alive, and what TLS changes in the trace.

Knows no event loop and no program; what lies between two machines is sim.network.fabric's. Tests:
tests/sim/network/tcp, and tests/sim/network/test_formulas.py for how long transfers take.
"""
