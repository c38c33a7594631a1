"""Figures: every value is in its place, empty bins and missing parts are left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from fakd_jax.errors import UserError
from fakd_jax.evaluation.report.plots import (
    plot_confusion_matrix,
    plot_curves,
    plot_reliability,
    plot_risk_coverage,
)
from tests.evaluation.example_metrics import curve_point, example_metrics


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
    assert labels(figure, 3)[-1] == "best val: 50.00 % at epoch 1"  # the earlier of equals
    with Image.open(tmp_path / "curves.png") as picture:
        picture.load()
        assert picture.width > picture.height


def test_a_total_that_is_one_term_is_drawn_once_and_ticks_are_whole_epochs(
    tmp_path: Path, figures: list[Figure]
) -> None:
    one = [record | {"ce": record["loss"]} for record in records("student", 1, ())]
    plot_curves(one, tmp_path / "curves.png")
    assert labels(figures[0], 0) == ["CE, train", "CE, val"]
    assert all(tick == int(tick) for tick in figures[0].axes[0].get_xticks())


def test_the_last_record_of_an_epoch_counts(tmp_path: Path, figures: list[Figure]) -> None:
    twice = records("student", 2, ())
    plot_curves([*twice, twice[3] | {"accuracy": 0.75}], tmp_path / "curves.png")
    assert labels(figures[0], 1)[-1] == "best val: 75.00 % at epoch 2"


@pytest.mark.parametrize("nothing", [[], [{"phase": "student", "kind": "step", "epoch": 1}]])
def test_without_an_epoch_there_is_nothing_to_draw(nothing: list[dict], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no curves to draw"):
        plot_curves(nothing, tmp_path / "curves.png")


def test_the_confusion_matrix_shows_counts_and_shares(
    tmp_path: Path, figures: list[Figure]
) -> None:
    names = [r"$\frac$", "a$b$c"]  # a dollar sign does not start a formula
    metrics = example_metrics() | {"class_names": names, "confusion_matrix": [[1500, 500], [0, 0]]}
    plot_confusion_matrix(metrics, tmp_path / "matrix.png")
    axes = figures[0].axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["1,500\n75.0 %", "500\n25.0 %", "0\n0.0 %", "0\n0.0 %"]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == names
        assert not any(label.get_parse_math() for label in labels)


def test_reliability_has_a_point_and_a_bar_for_each_bin_that_has_images(
    tmp_path: Path, figures: list[Figure]
) -> None:
    calibration = example_metrics()["calibration"]
    plot_reliability(calibration, tmp_path / "reliability.png")
    before, after = figures[0].axes[:2]
    assert before.get_title() == "As predicted"
    assert after.get_title() == "With temperature 1.37"
    (points,) = before.containers
    np.testing.assert_allclose(points.lines[0].get_xydata(), [[40, 25], [65, 70], [93, 2400 / 26]])
    (ends,) = points.lines[2]
    for segment, row in zip(ends.get_segments(), calibration["bins"][1:], strict=True):
        np.testing.assert_allclose(segment[:, 1], 100 * np.array(row["accuracy_ci95"]))
    before, after = figures[0].axes[2:]
    assert [text.get_text() for text in before.texts] == ["4", "10", "26"]
    assert [text.get_text() for text in after.texts] == ["8", "12", "20"]
    assert [(bar.get_x(), bar.get_height()) for bar in before.patches] == [
        (25, 4),
        (50, 10),
        (75, 26),
    ]


def test_without_a_temperature_there_is_one_column(tmp_path: Path, figures: list[Figure]) -> None:
    calibration = example_metrics()["calibration"] | {"temperature": None}
    plot_reliability(calibration, tmp_path / "reliability.png")
    assert len(figures[0].axes) == 2


def test_risk_is_drawn_by_coverage_and_the_reject_option_is_marked(
    tmp_path: Path, figures: list[Figure]
) -> None:
    plot_risk_coverage(example_metrics()["selective"], tmp_path / "risk_coverage.png")
    (ax,) = figures[0].axes
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[25, 0], [50, 5], [100, 20]])
    assert "20.00 %" in labels(figures[0], 0)[-2]
    assert "10.00 % of 30" in labels(figures[0], 0)[-1]
    np.testing.assert_allclose(ax.containers[-1].lines[0].get_xydata(), [[75, 10]])


@pytest.mark.parametrize("change", [None, {"n_kept": 0, "coverage": 0.0, "risk": None}])
def test_a_reject_option_that_is_none_or_always_abstains_is_not_marked(
    change: dict | None, tmp_path: Path, figures: list[Figure]
) -> None:
    selective = example_metrics()["selective"]
    selective["reject"] = change and selective["reject"] | change
    plot_risk_coverage(selective, tmp_path / "risk_coverage.png")
    assert not any("reject" in label for label in labels(figures[0], 0))


def test_the_first_few_predictions_do_not_set_the_scale_but_marks_fit_in(
    tmp_path: Path, figures: list[Figure]
) -> None:
    curve = [curve_point(1, 1), curve_point(40, 1)]
    plot_risk_coverage({"curve": curve, "reject": None}, tmp_path / "a.png")
    assert figures[0].axes[0].get_ylim()[1] == pytest.approx(115 * curve[1]["risk_ci95"][1])
    reject = curve_point(2, 1) | {"n_kept": 2}
    plot_risk_coverage({"curve": curve, "reject": reject}, tmp_path / "b.png")
    assert figures[1].axes[0].get_ylim()[1] > 100 * reject["risk_ci95"][1]
    one = {"curve": [curve_point(1, 0) | {"coverage": 1.0}], "reject": None}
    plot_risk_coverage(one, tmp_path / "one.png")


def test_the_same_metrics_give_the_same_bytes(tmp_path: Path) -> None:
    metrics, contents = example_metrics(), []
    files = [tmp_path / f"{index}.png" for index in range(3)]
    for _ in range(2):
        plot_confusion_matrix(metrics, files[0])
        plot_reliability(metrics["calibration"], files[1])
        plot_risk_coverage(metrics["selective"], files[2])
        contents.append([file.read_bytes() for file in files])
    assert contents[0] == contents[1]
