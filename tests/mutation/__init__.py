"""A mutation tool: breaks one thing at a time in a room, and asks whether the room's own tests notice. See __main__."""
