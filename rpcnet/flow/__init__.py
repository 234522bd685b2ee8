"""One call's two directions as plain arithmetic and tables: states, credit, deadlines. No transport, no asyncio."""
