"""A deterministic simulator of machines and networks for any asyncio program. This file is a list."""
