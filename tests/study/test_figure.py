"""The figure shows every seed, the means, and what is missing."""

import pytest

from fakd_jax.study import figure
from fakd_jax.study.summary import summarise
from tests.study.conftest import student_and_kd


@pytest.fixture
def draw(monkeypatch, tmp_path):
    """Draws a study's results and returns the figure, which was saved too."""
    kept = []
    save = figure.save_figure

    def keep(drawn, path):
        kept.append(drawn)
        save(drawn, path)

    monkeypatch.setattr(figure, "save_figure", keep)

    def drawn(results):
        figure.plot_study(summarise(student_and_kd(), results), tmp_path / "study.png")
        assert (tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")
        return kept[-1]

    return drawn


def lines_of_seeds(ax):
    return [
        (list(line.get_xdata()), list(line.get_ydata()))
        for line in ax.lines
        if line.get_color() == figure.SEED_COLOUR
    ]


def test_every_seed_is_a_line_through_the_methods(draw, make_result):
    rights = {("student", 0): "1000", ("kd", 0): "1100", ("student", 1): "1110", ("kd", 1): "1111"}
    (ax,) = draw([make_result(*cell, right) for cell, right in rights.items()]).axes
    assert lines_of_seeds(ax) == [([0, 1], [25.0, 50.0]), ([0, 1], [75.0, 100.0])]
    means = [container.lines[0].get_ydata()[0] for container in ax.containers]
    assert means == [50.0, 75.0]
    labels = [text.get_text() for text in ax.get_xticklabels()]
    assert labels == ["student\nCE", "kd\n0.5 CE\n+ 0.5 KD"]


def test_an_unfinished_study_is_drawn_under_the_number_of_missing_cells(draw, make_result):
    assert draw([]).get_suptitle() == "4 of 4 cells are missing"
    drawn = draw([make_result("kd", 0, "10")])
    assert drawn.get_suptitle() == "3 of 4 cells are missing"
    (ax,) = drawn.axes
    assert lines_of_seeds(ax) == [([1], [50.0])]
    assert not ax.containers  # one seed has no interval
