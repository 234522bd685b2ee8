"""Fuzzers of what a peer may send: whatever the bytes are, only ProtocolError ends a connection. See __main__."""
