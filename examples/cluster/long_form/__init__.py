"""The same cluster by hand, as programs were written before the calls that docs/migration.md names. It still works."""
