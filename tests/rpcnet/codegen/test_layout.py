"""Lines that fit stay whole, others go item by item."""

import ast

import pytest

from rpcnet.codegen.layout import WIDTH, Group, docstring, laid_out


def test_what_fits_stays_on_one_line() -> None:
    fits = Group("call", ["a" * (WIDTH - 6)])
    assert laid_out(fits) == [str(fits)]
    assert laid_out(fits, 1) == ["    call(", f"        {'a' * (WIDTH - 6)},", "    )"]


def test_what_does_not_fit_goes_item_by_item() -> None:
    inner = Group("**given", ["b=b", "c" * 80])
    assert laid_out(Group("return f", ["a", Group("", ['"a": a', inner], brackets="{}")], ".x"), 1) == [
        "    return f(",
        "        a,",
        "        {",
        '            "a": a,',
        "            **given(",
        "                b=b,",
        f"                {'c' * 80},",
        "            ),",
        "        },",
        "    ).x",
    ]


@pytest.mark.parametrize(
    "text", ["Short.", 'Ends in a "quote"', 'Has """ three', r"Has a \ in it", "word " * 40, "x" * 200, 'y" ' * 50]
)
def test_a_docstring_says_its_text(text: str) -> None:
    lines = docstring(text, 1)
    source = "\n".join(["class Some:", *lines])
    (cls,) = ast.parse(source).body
    assert isinstance(cls, ast.ClassDef)
    assert " ".join((ast.get_docstring(cls) or "").split()) == " ".join(text.split())
    assert all(len(line) <= WIDTH or "x" * 200 in line for line in lines)
