"""Which mutants are made of a source, and which are not."""

import pytest

from tests.mutation.mutants import mutants


def changes(source: str) -> list[str]:
    """What stands instead of the changed line, for each mutant."""
    return [mutant.mutant for mutant in mutants("file.py", source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "def f(a):\n    return a < 1\n",
            ["return None", "return (a <= 1)", "return (a >= 1)", "return a < 2", "return a < 0"],
        ),
        ("def f(a, b):\n    g(a is b)\n", ["pass", "g((a is not b))"]),
        ("def f(a, b):\n    g(a and b)\n", ["pass", "g((a or b))"]),
        ("def f(a):\n    g(not a)\n", ["pass", "g((a))"]),
        ("def f(a):\n    if a:\n        g()\n", ["if (not a):", "pass"]),
        ("def f(a, b):\n    a -= b\n", ["pass", "a += b"]),
        ("def f(a, b):\n    x = a + b\n", ["pass", "x = (a - b)"]),
        ("def f(a):\n    raise a\n", ["pass"]),
        ("def f():\n    return None\n", []),
        ("def f():\n    while g():\n        break\n", ["while (not g()):", "continue"]),
        (
            "def f(a, b=None, *, c=True): ...\n",
            ["def f(a, b, *, c=True): ...", "def f(a, b=None, *, c): ...", "def f(a, b=None, *, c=False): ..."],
        ),
        ("A = min(1.5, f)\n", ["A = max(1.5, f)", "A = min(2.5, f)", "A = min(0.5, f)"]),
        ("A = {\n    1: B,\n    C: D,\n}\n", ["", "", "2: B,", "0: B,"]),
        ("async def f():\n    await g()\n", ["pass"]),
        ("A = [x for x in y if x]\n", ["A = [x for x in y if (not x)]"]),
    ],
)
def test_each_kind_of_node_has_its_mutants(source: str, expected: list[str]) -> None:
    assert sorted(changes(source)) == sorted(expected)


@pytest.mark.parametrize(
    "source",
    [
        '"""A text with 1."""\n',
        "__all__ = [1]\n",
        "class A:\n    __slots__ = (1,)\n",
        "def f(a: Literal[1]) -> Literal[2]:\n    '''1'''\n",
        "assert 1 < 2\n",
        "from a import b\n",
        "if TYPE_CHECKING:\n    a = 1\n",
        "def f():\n    log.debug('x', 1)\n",
        "@overload\ndef f(a: int = 1, *, b: bool = False) -> int: ...\n",
        "A = f'{1 + 2}'\n",
        "@g(1)\ndef f(): ...\n",
    ],
)
def test_what_no_test_should_notice_is_left_alone(source: str) -> None:
    assert changes(source) == []


def test_a_mutant_differs_in_one_place_and_keeps_the_rest() -> None:
    source = "# Größe\nA = 'é' if b < 1 else 2  # why\nB = 3\n"
    for mutant in mutants("file.py", source):
        assert len(mutant.text.splitlines()) == 3
        assert mutant.text.startswith("# Größe\n")
        assert (mutant.line == "B = 3") == ("B = 3" not in mutant.text)
    assert any(mutant.mutant == "A = 'é' if (b <= 1) else 2  # why" for mutant in mutants("file.py", source))


def test_a_mutant_is_named_by_function_and_line_not_by_number() -> None:
    source = "class A:\n    def f(self):\n        return 1\n"
    moved = "import b\n\n\n" + source
    assert [mutant.key for mutant in mutants("a.py", source)] == [mutant.key for mutant in mutants("a.py", moved)]
    assert mutants("a.py", source)[0].key == ("a.py", "A.f", "return 1", "return None")


def test_the_lines_of_a_mutant_are_those_of_its_statement_head() -> None:
    source = "def f(a):\n    if (\n        a\n        < 1\n    ):\n        g()\n"
    found = {(mutant.first, mutant.last) for mutant in mutants("a.py", source) if "<" in mutant.line}
    assert found == {(2, 5)}
