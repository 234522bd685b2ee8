"""`python -m rpcnet` is `rpcnet`. Tests: tests/rpcnet/cli/test_version.py."""

from rpcnet.cli import main

if __name__ == "__main__":
    main()
