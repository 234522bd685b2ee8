"""A scenario: a file, a run, a verdict."""
