"""Written by `rpcnet-gen` from the classes of ../services.py; see README.md."""
