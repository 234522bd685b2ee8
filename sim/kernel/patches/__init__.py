"""What is swapped in the process so that programs on simulated machines are answered from the simulation.

Code that runs outside of nodes, and other threads, go on getting the real thing. Knows no simulation, only the node
that runs. Tests: tests/sim/kernel/patches.
"""
