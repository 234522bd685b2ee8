"""Defects are found by name, and switched on for as long as they are entered."""

import pytest

from sim import defects

STATE = []


class Patch:
    def __enter__(self):
        STATE.append("on")

    def __exit__(self, *exc):
        STATE.append("off")


def test_every_defect_has_a_name_a_reference_and_a_summary():
    names = defects.names()
    assert "no_idle_timeout" in names
    for name in names:
        module, _, function = defects.reference(name).partition(":")
        assert module.startswith("sim.defects.") and function == name
        assert defects.find(defects.reference(name)) is defects.find(name)
        assert len(defects.summary(name)) > 20


def test_unknown_defect_is_answered_with_the_nearest_and_all_others():
    with pytest.raises(defects.UnknownDefect, match=r'did you mean "no_idle_timeout"\? known: .*torn_tags'):
        defects.find("no_idel_timeout")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere_at_all:broken", "cannot be imported: ModuleNotFoundError"),
        ("json:broken", "cannot be imported: AttributeError"),
        ("json:__name__", "is no function"),
    ],
)
def test_defect_elsewhere_that_is_none_is_refused(name, words):
    with pytest.raises(defects.UnknownDefect, match=words):
        defects.find(name)


def test_switched_on_enters_in_order_and_leaves_all(monkeypatch):
    monkeypatch.setattr(defects, "find", {"a": Patch, "b": Patch}.__getitem__)
    STATE.clear()
    with defects.switched_on(["a", "b"]):
        assert STATE == ["on", "on"]
    assert STATE == ["on", "on", "off", "off"]


def test_an_unknown_one_keeps_all_from_being_entered():
    with pytest.raises(defects.UnknownDefect), defects.switched_on(["no_idle_timeout", "nothing_of_the_kind"]):
        pytest.fail("entered")
