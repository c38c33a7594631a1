"""Pictures: what is drawn, that files are whole, that errors are clear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from fakd_jax.errors import UserError
from fakd_jax.evaluation.report.plots import plot_confusion_matrix, plot_curves


def records(phase: str, epochs: int, terms: tuple[str, ...]) -> list[dict[str, Any]]:
    return [
        {"phase": phase, "kind": kind, "epoch": epoch, "step": 10 * epoch, "accuracy": 0.5}
        | {term: 1.0 / epoch + index for index, term in enumerate(("loss", *terms))}
        for epoch in range(1, epochs + 1)
        for kind in ("train", "val")
    ]


def labels(figure: Figure, axes: int) -> list[str]:
    return [text.get_text() for text in figure.axes[axes].get_legend().get_texts()]


def test_curves_of_both_phases_by_term(tmp_path: Path, figures: list[Figure]) -> None:
    both = records("student", 3, ("ce", "kd", "fa")) + records("teacher", 2, ())
    plot_curves(both, tmp_path / "curves.png")
    (figure,) = figures
    assert [axes.get_title() for axes in figure.axes[:2]] == ["Teacher", "Student"]
    assert labels(figure, 0) == ["total, train", "total, val"]
    assert len(labels(figure, 1)) == 8
    assert labels(figure, 3)[-1] == "best val: 50.00 % at epoch 1"  # of equals the earlier
    with Image.open(tmp_path / "curves.png") as picture:
        picture.load()
        assert picture.width > picture.height
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_a_single_epoch_and_a_total_that_is_one_term(tmp_path: Path, figures: list[Figure]) -> None:
    one = [record | {"ce": record["loss"]} for record in records("student", 1, ())]
    plot_curves(one, tmp_path / "curves.png")
    assert labels(figures[0], 0) == ["CE, train", "CE, val"]
    ticks = figures[0].axes[0].get_xticks()
    assert all(tick == int(tick) for tick in ticks)


def test_of_an_epoch_recorded_twice_the_last_counts(tmp_path: Path, figures: list[Figure]) -> None:
    twice = records("student", 2, ())
    plot_curves([*twice, twice[3] | {"accuracy": 0.75}], tmp_path / "curves.png")
    assert labels(figures[0], 1)[-1] == "best val: 75.00 % at epoch 2"


@pytest.mark.parametrize("nothing", [[], [{"phase": "student", "kind": "step", "epoch": 1}]])
def test_no_epoch_yet(nothing: list[dict], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no curves to draw"):
        plot_curves(nothing, tmp_path / "curves.png")


def test_the_confusion_matrix_shows_counts_and_shares(
    tmp_path: Path, figures: list[Figure]
) -> None:
    matrix = np.array([[1500, 500], [0, 0]])
    plot_confusion_matrix(matrix, ("a", "b"), tmp_path / "matrix.png", title="title")
    texts = [text.get_text() for text in figures[0].axes[0].texts]
    assert texts == ["1,500\n75.0 %", "500\n25.0 %", "0\n0.0 %", "0\n0.0 %"]


def test_names_with_dollars_are_written_as_they_are(tmp_path: Path, figures: list[Figure]) -> None:
    names = (r"$\frac$", "a$b$c")
    plot_confusion_matrix(np.eye(2, dtype=int), names, tmp_path / "matrix.png", title="of $^$")
    axes = figures[0].axes[0]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == list(names)
        assert not any(label.get_parse_math() for label in labels)
    assert axes.get_title() == "of $^$"


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        plot_confusion_matrix(np.eye(2, dtype=int), ("a", "b"), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
