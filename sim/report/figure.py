"""How a figure becomes bytes: one style, no global state of pyplot, and the same bytes for the same figure.

Text stays text in SVG (it can be searched and read aloud). Ids that nothing refers to are taken out, and the others are
salted with the figure's name, so that several figures may stand in one page.

Tests: tests/sim/report/test_timeline.py.
"""

import io
import re
import warnings
from collections.abc import Callable
from html import escape

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "INK",
    "LIGHT_BLUE",
    "ORANGE",
    "PURPLE",
    "RED",
    "RIGHT",
    "WIDTH",
    "YELLOW",
    "make_axes",
    "to_png",
    "to_svg",
]

WIDTH = 11.0
"""Inches. The page scales it; the text is then as large as the page's."""
RIGHT = 0.25
"""Inches right of the axes."""

# Okabe and Ito's palette: told apart by people who see fewer colours. No meaning rests on colour alone.
BLUE, LIGHT_BLUE, GREEN, YELLOW = "#0072B2", "#A6D3EE", "#009E73", "#F0E442"
ORANGE, RED, PURPLE, GREY, INK = "#E69F00", "#D55E00", "#AA4499", "#8A8F98", "#222831"

FONT = "DejaVu Sans"
"""Comes with matplotlib. Where a browser has none, Verdana is as wide."""

STYLE = {
    "font.family": FONT,
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": "#B8BDC6",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": "#E4E7EC",
    "grid.linewidth": 0.8,
    "hatch.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",
    "figure.facecolor": "white",
}
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def make_axes(height: float, *, left: float, top: float = 0.2, bottom: float = 0.5) -> Axes:
    """Axes so many inches high, with these margins: figures with the same left one share their axis of time."""
    whole = height + top + bottom
    figure = Figure(figsize=(WIDTH, whole))
    return figure.add_axes((left / WIDTH, bottom / whole, (WIDTH - left - RIGHT) / WIDTH, height / whole))


def to_svg(draw: Callable[[], Figure], name: str, title: str) -> str:
    """The figure that `draw` makes, as one `<svg>` element; `title` says what it shows to who cannot see it."""
    text = _save(draw, "svg", salt=name).decode()
    text = text[text.index("<svg ") :]
    referred = set(re.findall(r"#([\w-]+)", text))
    text = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in referred else "", text)
    text = text.replace(f"font-family: '{FONT}'", f"font-family: '{FONT}', Verdana, sans-serif")
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)


def to_png(draw: Callable[[], Figure], dpi: float = 110) -> bytes:
    """The figure that `draw` makes, as PNG."""
    return _save(draw, "png", dpi=dpi)


def _save(draw: Callable[[], Figure], form: str, dpi: float = 72, salt: str = "") -> bytes:
    out = io.BytesIO()
    # The style of whoever calls (a notebook's, a matplotlibrc's) must not reach the figure, nor ours theirs.
    with matplotlib.style.context(["default", STYLE | {"svg.hashsalt": salt}]), warnings.catch_warnings():
        # A name in a script that the font lacks: the browser has another font.
        warnings.filterwarnings("ignore", message=r"Glyph \d+", category=UserWarning)
        figure = draw()
        FigureCanvasAgg(figure)
        metadata = NO_METADATA if form == "svg" else {"Software": None}
        figure.savefig(out, format=form, dpi=dpi, metadata=metadata)
    return out.getvalue()
