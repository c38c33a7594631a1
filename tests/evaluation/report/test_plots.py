"""Figures: every value is in its place, empty bins and missing parts are left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from fakd_jax.distillation.terms import TERM_NAMES
from fakd_jax.errors import UserError
from fakd_jax.evaluation.report.detection_plots import plot_precision_recall, plot_roc
from fakd_jax.evaluation.report.plots import (
    plot_confusion_matrix,
    plot_curves,
    plot_reliability,
    plot_risk_coverage,
)
from fakd_jax.reporting.figures import save_figure
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


def test_curves_of_both_phases_by_term() -> None:
    figure = plot_curves(records("student", 3, ("ce", "kd", "fa")) + records("teacher", 2, ()))
    assert [axes.get_title() for axes in figure.axes[:2]] == ["Teacher", "Student"]
    assert labels(figure, 0) == ["total, train", "total, val"]
    assert len(labels(figure, 1)) == 8
    assert labels(figure, 3)[-1] == "highest val: 50.00 % at epoch 1"  # the earlier of equals


def test_every_term_of_an_objective_has_a_curve() -> None:
    figure = plot_curves(records("student", 1, tuple(TERM_NAMES)))
    assert len(labels(figure, 0)) == 2 * (1 + len(TERM_NAMES))


def test_a_total_that_is_one_term_is_drawn_once_and_ticks_are_whole_epochs() -> None:
    one = [record | {"ce": record["loss"]} for record in records("student", 1, ())]
    figure = plot_curves(one)
    assert labels(figure, 0) == ["CE, train", "CE, val"]
    assert all(tick == int(tick) for tick in figure.axes[0].get_xticks())


def test_the_last_record_of_an_epoch_counts() -> None:
    twice = records("student", 2, ())
    figure = plot_curves([*twice, twice[3] | {"accuracy": 0.75}])
    assert labels(figure, 1)[-1] == "highest val: 75.00 % at epoch 2"


@pytest.mark.parametrize("nothing", [[], [{"phase": "student", "kind": "step", "epoch": 1}]])
def test_without_an_epoch_there_is_nothing_to_draw(nothing: list[dict]) -> None:
    with pytest.raises(UserError, match="no curves to draw"):
        plot_curves(nothing)


def test_the_confusion_matrix_shows_counts_and_shares(tmp_path: Path) -> None:
    names = [r"$\frac$", "a$b$c"]  # a dollar sign does not start a formula
    metrics = example_metrics() | {"class_names": names, "confusion_matrix": [[1500, 500], [0, 0]]}
    figure = plot_confusion_matrix(metrics)
    save_figure(figure, tmp_path / "matrix.png")
    axes = figure.axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["1,500\n75.0 %", "500\n25.0 %", "0\n0.0 %", "0\n0.0 %"]
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [tick.get_text() for tick in ticks] == names
        assert not any(tick.get_parse_math() for tick in ticks)


def test_a_matrix_of_many_classes_stays_small_and_has_no_numbers() -> None:
    names = [f"c{index}" for index in range(200)]
    figure = plot_confusion_matrix(
        example_metrics() | {"confusion_matrix": np.eye(200, dtype=int), "class_names": names}
    )
    assert not figure.axes[0].texts
    assert max(figure.get_size_inches()) < 30


def test_reliability_has_a_point_and_a_bar_for_each_bin_that_has_images() -> None:
    calibration = example_metrics()["calibration"]
    before, after, counts_before, counts_after = plot_reliability(calibration).axes
    assert after.get_title() == "With temperature 1.37"
    (points,) = before.containers
    np.testing.assert_allclose(points.lines[0].get_xydata(), [[40, 25], [65, 70], [93, 2400 / 26]])
    (ends,) = points.lines[2]
    for segment, row in zip(ends.get_segments(), calibration["bins"][1:], strict=True):
        np.testing.assert_allclose(segment[:, 1], 100 * np.array(row["accuracy_ci95"]))
    assert [text.get_text() for text in counts_before.texts] == ["4", "10", "26"]
    assert [text.get_text() for text in counts_after.texts] == ["8", "12", "20"]
    bars = [(bar.get_x(), bar.get_height()) for bar in counts_before.patches]
    assert bars == [(25, 4), (50, 10), (75, 26)]
    assert len(plot_reliability(calibration | {"temperature": None}).axes) == 2


def test_the_roc_curve_has_its_operating_points() -> None:
    tumour = example_metrics()["tumour"]
    figure = plot_roc(tumour)
    (ax,) = figure.axes
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0, 0], [0, 70], [20, 90], [100, 100]])
    for mark, point in zip(ax.containers, tumour["points"], strict=True):
        at = [100 * (1 - point["specificity"]["rate"]), 100 * point["sensitivity"]["rate"]]
        np.testing.assert_allclose(mark.lines[0].get_xydata(), [at])
        bars, _ = mark.lines[2]
        low, high = point["specificity"]["ci95"]
        ends = bars.get_segments()[0][:, 0]
        np.testing.assert_allclose(ends, [100 * (1 - high), 100 * (1 - low)], atol=1e-9)


def test_the_precision_recall_curve_has_steps_chance_and_operating_points() -> None:
    tumour = example_metrics()["tumour"]
    (ax,) = plot_precision_recall(tumour).axes
    curve, chance = ax.lines[:2]
    np.testing.assert_allclose(curve.get_xydata(), [[0, 100], [70, 100], [90, 91], [100, 70]])
    assert curve.get_drawstyle() == "steps-pre"
    assert set(chance.get_ydata()) == {70.0}
    for mark, point in zip(ax.containers, tumour["points"], strict=True):
        at = [100 * point["sensitivity"]["rate"], 100 * point["predictive_values"][0]["ppv"]]
        np.testing.assert_allclose(mark.lines[0].get_xydata(), [at])


def test_a_point_without_an_alarm_has_no_precision_to_draw() -> None:
    tumour = example_metrics()["tumour"]
    tumour["points"][2]["predictive_values"][0] |= {"ppv": None, "ppv_ci95": None}
    (ax,) = plot_precision_recall(tumour).axes
    assert len(ax.containers) == 2


def test_risk_is_drawn_by_coverage_and_the_reject_option_is_marked() -> None:
    figure = plot_risk_coverage(example_metrics()["selective"])
    (ax,) = figure.axes
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[25, 0], [50, 5], [100, 20]])
    assert "20.00 %" in labels(figure, 0)[-2]
    assert "10.00 % of 30" in labels(figure, 0)[-1]
    np.testing.assert_allclose(ax.containers[-1].lines[0].get_xydata(), [[75, 10]])


@pytest.mark.parametrize("change", [None, {"n_kept": 0, "coverage": 0.0, "risk": None}])
def test_a_reject_option_that_is_none_or_always_abstains_is_not_marked(
    change: dict | None,
) -> None:
    selective = example_metrics()["selective"]
    selective["reject"] = change and selective["reject"] | change
    assert not any("reject" in label for label in labels(plot_risk_coverage(selective), 0))


def test_the_first_few_predictions_do_not_set_the_scale_but_marks_fit_in() -> None:
    curve = [curve_point(1, 1), curve_point(40, 1)]
    plain = plot_risk_coverage({"curve": curve, "reject": None})
    assert plain.axes[0].get_ylim()[1] == pytest.approx(115 * curve[1]["risk_ci95"][1])
    reject = curve_point(2, 1) | {"n_kept": 2}
    marked = plot_risk_coverage({"curve": curve, "reject": reject})
    assert marked.axes[0].get_ylim()[1] > 100 * reject["risk_ci95"][1]


def test_the_same_metrics_give_the_same_bytes_even_for_a_single_image(tmp_path: Path) -> None:
    metrics, contents = example_metrics(), []
    single = {"curve": [curve_point(1, 0) | {"coverage": 1.0}], "reject": None}
    for _ in range(2):
        for figure in (
            plot_curves(records("student", 2, ("ce",))),
            plot_confusion_matrix(metrics),
            plot_reliability(metrics["calibration"]),
            plot_risk_coverage(metrics["selective"]),
            plot_risk_coverage(single),
        ):
            save_figure(figure, tmp_path / "figure.png")
            contents.append((tmp_path / "figure.png").read_bytes())
    assert contents[:5] == contents[5:]
