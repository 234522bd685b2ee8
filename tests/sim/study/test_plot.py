"""A figure of a study: over a parameter, or its distribution; what cannot be drawn is named."""

import pytest


def test_a_figure_is_drawn_over_a_parameter_and_as_a_distribution(studies, tmp_path):
    study, _ = studies
    figure = next(iter(study.results[0].row.measured))
    over, whole = study.plot(figure, "network.loss"), study.plot(figure)
    assert over._repr_png_().startswith(b"\x89PNG") and whole._repr_png_().startswith(b"\x89PNG")
    assert over._repr_png_() != whole._repr_png_()
    assert over.save(tmp_path / "over.png").read_bytes() == over._repr_png_()


def test_what_cannot_be_drawn_is_named(studies):
    study, _ = studies
    figure = next(iter(study.results[0].row.measured))
    with pytest.raises(ValueError, match=f"no run measured 'x{figure}'; did you mean \"{figure}\""):
        study.plot(f"x{figure}")
    with pytest.raises(
        ValueError, match=r"'network\.los' is no parameter of this study; did you mean \"network\.loss\""
    ):
        study.plot(figure, "network.los")
