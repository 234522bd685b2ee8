"""What asyncio and `socket` offer a program on a simulated machine: its event loop, transports and sockets.

Stands on the network's endpoints. Knows neither the simulation that drives it nor what is swapped in the process
(sim.kernel.patches). Tests: tests/sim/kernel/loop, and tests/sim/twins against real loops.
"""
