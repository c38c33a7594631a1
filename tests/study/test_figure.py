"""The figure shows every seed, the means, and what is missing."""

import pytest

from fakd_jax.study import figure
from fakd_jax.study.summary import summarise
from tests.study.conftest import STRESS, student_and_kd


@pytest.fixture
def draw(monkeypatch, tmp_path):
    """Draws a study's results and returns the figure, which was saved too."""
    kept = []
    save = figure.save_figure

    def keep(drawn, path):
        kept.append(drawn)
        save(drawn, path)

    monkeypatch.setattr(figure, "save_figure", keep)

    def drawn(results, **keys):
        report = summarise(student_and_kd(**keys), results)
        figure.plot_study(report, tmp_path / "study.png")
        assert (tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")
        return kept[-1]

    return drawn


def lines_of_seeds(ax, colour=figure.SEED_COLOUR):
    return [
        (list(line.get_xdata()), list(line.get_ydata()))
        for line in ax.lines
        if line.get_color() == colour
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


STRESSED = {("student", 0): "20", ("kd", 0): "42", ("student", 1): "31", ("kd", 1): "44"}


def test_accuracies_under_shifts_are_drawn_in_another_colour(draw, make_result):
    results = [make_result(*cell, "10", stress=digits) for cell, digits in STRESSED.items()]
    (ax,) = draw(results, stress=STRESS).axes
    assert lines_of_seeds(ax) == [([0, 1], [50.0, 50.0])] * 2
    # The means have this colour too, each with one place of its own.
    lines = [line for line in lines_of_seeds(ax, figure.STRESS_COLOUR) if len(line[0]) == 2]
    assert lines == [([0, 1], [25.0, 75.0]), ([0, 1], [50.0, 100.0])]
    means = [container.lines[0].get_ydata()[0] for container in ax.containers]
    assert means == [50.0, 50.0, 37.5, 87.5]


def test_pairs_of_their_own_add_a_panel_of_differences(draw, make_result):
    results = [make_result(*cell, "10", stress=digits) for cell, digits in STRESSED.items()]
    _, ax = draw(results, comparisons=("student:kd",), stress=STRESS).axes
    means = [container.lines[0].get_ydata()[0] for container in ax.containers]
    assert means == [0.0, 0.0, 50.0, -50.0]  # clean, then under shifts
    labels = [text.get_text().split("\n")[:2] for text in ax.get_xticklabels()]
    assert labels == [["kd", "− student"], ["student", "− kd"]]
    # Without any result there is nothing to draw, but for the line at 0.
    _, empty = draw([], comparisons=("student:kd",)).axes
    assert not empty.containers
