"""The list of mutants that survive for a reason: survivors.toml, and how it is held against what was found.

Tests: tests/mutation/test_mutation.py.
"""

import tomllib
from collections import Counter
from pathlib import Path

from tests.mutation.mutants import Mutant
from tests.mutation.run import Verdict

__all__ = ["Argued", "complaints", "entry", "load"]

LIST = Path(__file__).with_name("survivors.toml")
FIELDS = ("file", "inside", "line", "mutant")

Argued = dict[tuple[str, str, str, str], str]
"""The reason, by the mutant's key."""


def load(path: Path = LIST) -> Argued:
    """Raises ValueError for an entry without a reason, or that is there twice."""
    argued: Argued = {}
    for survivor in tomllib.loads(path.read_text()).get("survivor", []):
        file, inside, line, mutant = (survivor[field] for field in FIELDS)
        key = file, inside, line, mutant
        if not survivor.get("reason", "").strip() or key in argued:
            raise ValueError(f"{path.name}: an entry needs a reason and stands there once: {key}")
        argued[key] = survivor["reason"]
    return argued


def entry(mutant: Mutant) -> str:
    """What would have to be added to the list; the reason is for a person to write."""
    values = [f"{field} = {_quoted(value)}" for field, value in zip(FIELDS, mutant.key, strict=True)]
    return "\n".join(["[[survivor]]", *values, 'reason = ""'])


def complaints(argued: Argued, everything: list[Mutant], verdicts: list[Verdict]) -> list[str]:
    """What is wrong: survivors that nobody argued, and entries that say no longer what is so."""
    wrong = [
        f"{found.mutant.file}:{found.mutant.first}: a mutant survives ({found.why})\n{found.mutant.diff}\n"
        f"{entry(found.mutant)}"
        for found in verdicts
        if found.survived and found.mutant.key not in argued
    ]
    there = Counter(mutant.key for mutant in everything)
    files = {mutant.file for mutant in everything}
    # The same change of two equal lines of a function has one entry; it holds as long as one of them survives, which a
    # sample may have left out.
    survive = {found.mutant.key for found in verdicts if found.survived}
    judged = Counter(found.mutant.key for found in verdicts)
    killed = {key for key, times in judged.items() if times == there[key]} - survive
    for key in argued:
        if key[0] in files and key not in there:
            wrong.append(f"survivors.toml lists a mutant that no longer exists: {key}")
        elif key in killed:
            wrong.append(f"survivors.toml lists a mutant that a test kills by now: {key}")
    return wrong


def _quoted(text: str) -> str:
    if "'" not in text:
        return f"'{text}'"
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
