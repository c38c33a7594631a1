"""Pictures of confidence: every figure at its place, empty bins and missing parts left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from fakd_jax.evaluation.report.confidence_plots import plot_reliability, plot_risk_coverage
from tests.evaluation.example_metrics import curve_point, example_metrics


def test_reliability_has_a_point_with_its_interval_for_each_bin_that_has_images(
    tmp_path: Path, figures: list[Figure]
) -> None:
    calibration = example_metrics()["calibration"]
    plot_reliability(calibration, tmp_path / "reliability.png")
    before, after = figures[0].axes[:2]
    assert before.get_title() == "As the network gives them"
    assert after.get_title() == "With temperature 1.37"
    (points,) = before.containers
    np.testing.assert_allclose(points.lines[0].get_xydata(), [[40, 25], [65, 70], [93, 2400 / 26]])
    (ends,) = points.lines[2]
    for segment, row in zip(ends.get_segments(), calibration["bins"][1:], strict=True):
        np.testing.assert_allclose(segment[:, 1], 100 * np.array(row["accuracy_ci95"]))


def test_the_number_of_images_stands_above_each_bar(tmp_path: Path, figures: list[Figure]) -> None:
    plot_reliability(example_metrics()["calibration"], tmp_path / "reliability.png")
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
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts[-2:] == ["all answers: 20.00 % wrong", "reject option: 10.00 % of 30 wrong"]
    np.testing.assert_allclose(ax.containers[-1].lines[0].get_xydata(), [[75, 10]])


@pytest.mark.parametrize("change", [None, {"n_kept": 0, "coverage": 0.0, "risk": None}])
def test_a_reject_option_that_is_none_or_answers_nothing_is_not_marked(
    change: dict | None, tmp_path: Path, figures: list[Figure]
) -> None:
    selective = example_metrics()["selective"]
    selective["reject"] = change and selective["reject"] | change
    plot_risk_coverage(selective, tmp_path / "risk_coverage.png")
    texts = [text.get_text() for text in figures[0].axes[0].get_legend().get_texts()]
    assert not any("reject" in text for text in texts)


def test_the_first_few_answers_do_not_set_the_scale_but_marks_are_always_within(
    tmp_path: Path, figures: list[Figure]
) -> None:
    curve = [curve_point(1, 1), curve_point(40, 1)]
    plot_risk_coverage({"curve": curve, "reject": None}, tmp_path / "a.png")
    assert figures[0].axes[0].get_ylim()[1] == pytest.approx(115 * curve[1]["risk_ci95"][1])
    reject = curve_point(2, 1) | {"n_kept": 2}
    plot_risk_coverage({"curve": curve, "reject": reject}, tmp_path / "b.png")
    assert figures[1].axes[0].get_ylim()[1] > 100 * reject["risk_ci95"][1]


def test_a_single_image_can_be_drawn(tmp_path: Path) -> None:
    one = {"curve": [curve_point(1, 0) | {"coverage": 1.0}], "reject": None}
    plot_risk_coverage(one, tmp_path / "one.png")
    with Image.open(tmp_path / "one.png") as picture:
        picture.load()


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    metrics = example_metrics()
    for name in ("a", "b"):
        plot_reliability(metrics["calibration"], tmp_path / f"{name}1.png")
        plot_risk_coverage(metrics["selective"], tmp_path / f"{name}2.png")
    assert (tmp_path / "a1.png").read_bytes() == (tmp_path / "b1.png").read_bytes()
    assert (tmp_path / "a2.png").read_bytes() == (tmp_path / "b2.png").read_bytes()
