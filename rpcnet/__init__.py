"""RPC, streams and SWIM cluster membership for asyncio. This file is a list; see docs/architecture.md for the rooms."""
