"""`python -m sim.cli` is `rpcnet-sim`.

Tests: tests/sim/cli/test_terminal.py.
"""

from sim.cli.main import main

main()
