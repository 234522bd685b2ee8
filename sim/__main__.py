"""`python -m sim` is `rpcnet-sim`. Tests: tests/rpcnet/cli/test_version.py."""

from sim.cli import main

if __name__ == "__main__":
    main()
