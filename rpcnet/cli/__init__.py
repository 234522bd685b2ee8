"""The `rpcnet` command: run an application, and look at, call and watch servers. This file is a list."""

from rpcnet.cli.command import main, run

__all__ = ["main", "run"]
