"""`python -m rpcnet.codegen` is `rpcnet-gen`. Tests: tests/rpcnet/codegen/test_command.py."""

from rpcnet.codegen.command import main

if __name__ == "__main__":
    main()
