"""`rpcnet-sim schema`: a JSON Schema of scenario files, for editors.

Tests: tests/sim/scenario/test_editor.py, tests/sim/cli/test_usage.py.
"""

import json

from sim.cli import terminal
from sim.cli.exits import HOLDS

__all__ = ["schema"]


def schema() -> int:
    """Write a JSON Schema of scenario files, for editors: `rpcnet-sim schema > scenario.schema.json`."""
    from sim.scenario.json_schema import json_schema

    terminal.data(json.dumps(json_schema(), indent=1, ensure_ascii=False), plain=True)
    return HOLDS
