"""What a person sees of a run. Reads traces and results; has no access to a live simulation. This file is a list."""

from sim.report.page import render, write_report
from sim.report.tables import Tables, tabulate
from sim.report.timeline import timeline_png, timeline_svg

__all__ = ["Tables", "render", "tabulate", "timeline_png", "timeline_svg", "write_report"]
