"""The SWIM core: sans-IO. Datagrams and `now` in, effects out. No asyncio, no sockets, no clock of its own."""
