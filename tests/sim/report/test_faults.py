"""sim.report.faults: labels that do not overlap."""

from hypothesis import given
from hypothesis import strategies as st

from sim.history import FaultSeen
from sim.report.faults import fault_label, place_labels

WIDTH = 700.0


def fault(
    number: int, time: float, verb: str = "crash", targets: tuple[str, ...] = ("worker-2",), **how: object
) -> FaultSeen:
    return FaultSeen("", verb, targets, how, time, 1, number=number)


@given(
    st.lists(
        st.tuples(st.floats(0, 40), st.sampled_from(["a", "worker-12", "a-very-long-name-of-a-node"])), max_size=40
    )
)
def test_no_label_covers_another_or_its_line(times: list[tuple[float, str]]) -> None:
    faults = [fault(i + 1, time, targets=(name,)) for i, (time, name) in enumerate(times)]
    labels = place_labels(faults, 0.0, 40.0, WIDTH)
    assert len(labels) <= len(faults)
    for i, label in enumerate(labels):
        assert label.low >= -label.high or label.leftward
        assert label.high <= WIDTH
        for other in labels[:i]:
            if label.row == other.row:
                assert label.high <= other.low or other.high <= label.low
            else:
                low, high = sorted((label, other), key=lambda one: one.row)
                assert not low.low < high.x < low.high


def test_few_faults_all_have_their_text() -> None:
    faults = [fault(1, 5.0), fault(2, 5.5, "kill"), fault(3, 39.9, "pause")]
    texts = {label.text for label in place_labels(faults, 0.0, 40.0, WIDTH)}
    assert texts == {"1 crash worker-2", "2 kill worker-2", "3 pause worker-2"}


def test_a_crowd_falls_back_to_numbers() -> None:
    faults = [fault(i + 1, 20 + i * 0.4) for i in range(30)]
    texts = {label.text for label in place_labels(faults, 0.0, 40.0, WIDTH)}
    assert any(text.isdigit() for text in texts)


def test_a_fault_without_effect_has_no_label() -> None:
    idle = fault(1, 3.0)
    idle.idle = "it was down"
    assert place_labels([idle], 0.0, 40.0, WIDTH) == []


def test_labels_name_targets_or_count_them() -> None:
    assert fault_label(fault(1, 1.0)) == "crash worker-2"
    assert fault_label(fault(1, 1.0, "pause", ("a", "b", "c"))) == "pause 3 nodes"
    groups = [["a"], ["b", "c", "d"]]
    assert fault_label(fault(1, 1.0, "partition", ("a", "b", "c", "d"), groups=groups)) == "partition a | 3 nodes"
