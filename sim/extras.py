"""The extras of the distribution: what to install where a package is missing that `pip install rpcnet` leaves out.

Knows their names alone. Who would show a user ModuleNotFoundError asks here first.

Tests: tests/sim/test_extras.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["EXTRA_OF", "advice", "told"]

EXTRA_OF = {
    **dict.fromkeys(("simpy", "networkx", "msgpack", "matplotlib", "numpy", "jinja2"), "sim"),
    **dict.fromkeys(("ipykernel", "IPython", "jupyterlab"), "notebook"),
    "pandas": "pandas",
}
"""By the name that is imported. numpy comes with matplotlib, IPython with ipykernel."""


def advice(error: ImportError) -> str | None:
    """What to install, where the package that could not be imported is of an extra; None where it is not."""
    package = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or package not in EXTRA_OF:
        return None
    return f"{package} is not installed: pip install 'rpcnet[{EXTRA_OF[package]}]'"


@contextmanager
def told(what: str) -> Iterator[None]:
    """While something is loaded that a user asked for by this name: a package of an extra is told as one."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (text := advice(error)) is None:
            raise
        raise ModuleNotFoundError(f"{what} cannot be loaded; {text}", name=error.name) from error
