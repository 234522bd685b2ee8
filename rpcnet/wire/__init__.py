"""The wire: frames, and how bytes become frames. No stream, no transport, no clock. See docs/protocol.md."""
