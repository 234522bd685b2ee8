"""What a person sees of a run. Reads traces and results; has no access to a live simulation. This file is a list.

From data to HTML, one way: events → `tables` (one pass; `keeping` picks the events that stand on the page) → `answers`
(what is not as it should be: what, when, who, why) and `view` (what the script draws) → `page` (index.html.j2, page.css
and page.js in one file). `words` says events and figures in plain English.

The page, from top to bottom:

    name, VERDICT, the sentence of the file; seed, times, digest; the command that runs it again
    one card for each thing that is not as it should be, lettered A, B, …
        what (seen, and expected) | when (after which fault) | who (and in which state) | why (faults in effect,
        messages dropped, what was logged, who fell silent) | the trace lines that were looked at | what led to it
    Timeline: filter, zoom. Faults are numbered above; letters stand where the answers are
        of many nodes: all as rows of a picture, the interesting ones in lanes
        a lane: its life, with the faults that struck it; the band of those who doubt it; calls; records
        events of the lanes, or of one: each with a link to the event that it answers
    What was expected and holds | faults | what members thought of each other
    Calls (curve; by method; failed and slow ones) | what applications recorded | messages, latency (curves)
    logs, leaks | nodes | the scenario's text with its lines, settings, network | numbers of events

`overview` is the page of a sweep: verdicts over seeds and matrix, percentiles, the runs that do not hold.
Curves share the timeline's zoom. Where it is narrow a lane's name stands above it and a row of a table becomes a block.
"""

from sim.report.overview import render_overview
from sim.report.page import render, write_report
from sim.report.tables import Tables, tabulate
from sim.report.timeline import timeline_png, timeline_svg

__all__ = ["Tables", "render", "render_overview", "tabulate", "timeline_png", "timeline_svg", "write_report"]
