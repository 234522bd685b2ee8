"""Texts lose what differs between machines and runs, and nothing else."""

import os

import pytest

from sim.kernel.plain import plain


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<Thing object at 0x7fbbdadf0d10>", "<Thing object at 0x…>"),
        ("fail(<planted_stea...x7fbbdadf0d10>)", "fail(<planted_stea...…>)"),
        ("fail(<planted_stea...badf0d10>)", "fail(<planted_stea...…>)"),
        ("0x1f and 0xdead stay", "0x1f and 0xdead stay"),
        ("Task-17 and MyTask-17x", "Task-… and MyTask-17x"),
        ("<Handle f() at app.py:3 created at /x/app.py:9>", "<Handle f() at app.py:3>"),
        (
            'failed\nsource_traceback: Object created at (most recent call last):\n  File "x"\n    f()\nTraceback',
            "failed\nTraceback",
        ),
        (f"{os.__file__}:3", "os.py:3"),
        ("nothing to lose", "nothing to lose"),
    ],
)
def test_what_differs_goes(text, left):
    assert plain(text) == left
