"""`python -m sim.cli` is `rpcnet-sim`."""

from sim.cli.main import main

main()
