"""Ready-made programs for scenarios that need no Python of their own; named as `sim.apps.member:main` and the like.

Tests: tests/test_scenarios.py.
"""
