"""The same cluster by hand, as programs were written before the calls that docs/migration.md names. It still works.

Only what those calls replace is done by hand: all else is as in the short form. Nothing is imported from that.
"""
