"""A run that shows itself in a notebook: its verdict, what each expectation saw, its timeline.

Knows how a run is shown, not how it is made. The report is loaded when a picture is asked for.

Tests: tests/sim/test_api.py.
"""

import base64
import html
from dataclasses import fields
from typing import Self

from sim.extras import told
from sim.scenario import run

__all__ = ["Run"]


class Run(run.Run):
    """One run and its verdict. In a notebook it shows its timeline."""

    @classmethod
    def of(cls, found: run.Run) -> Self:
        """The same run, as one that shows itself."""
        return cls(**{field.name: getattr(found, field.name) for field in fields(found)})

    def _repr_png_(self) -> bytes:
        with told("sim.report.timeline_png"):
            from sim.report import timeline_png  # matplotlib takes its time
        return timeline_png(self.trace)

    def _repr_html_(self) -> str:
        picture = base64.b64encode(self._repr_png_()).decode()
        rows = "".join(
            f"<li><b>{j.verdict}</b> <code>{html.escape(j.name)}</code>: {html.escape(j.saw)}</li>"
            for j in self.expectations
        )
        error = f"<pre>{html.escape(self.error)}</pre>" if self.error else ""
        return (
            f"<p><b>{html.escape(self.scenario.name)}</b>, seed {self.seed}, {self.backend}: <b>{self.verdict}</b></p>"
            f"{error}<ul>{rows}</ul><img alt='timeline of the run' src='data:image/png;base64,{picture}'/>"
        )
