"""The text report: the paper's Table 2 with what it lacks."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from fakd_jax.evaluation.collect import Collected, Duplicates
from fakd_jax.evaluation.measure import measure
from fakd_jax.evaluation.report.text import table2
from fakd_jax.metrics.confusion import confusion_metrics
from fakd_jax.metrics.resampling import proportion
from fakd_jax.reporting.numbers import percent
from tests.evaluation.predictions import NAMES, PAPER, random_predictions

ODD = {f"{i}": i // 2 for i in range(200)} | {"learnt": 3}
COMPARISON = {
    "with": {"arch": "resnet50", "config": "teacher", "checkpoint": "C", "weights_sha256": "W"},
    "n": 1311,
    "both_right": 1270,
    "only_this_right": 8,
    "only_other_right": 21,
    "both_wrong": 12,
    "mcnemar_p": 0.024121,
    "difference": -13 / 1311,
    "difference_ci95": [-0.0175, -0.0021],
}


@pytest.fixture(scope="module")
def everything() -> dict[str, Any]:
    """Metrics of predictions with all that can be known beside them."""
    return measure(
        Collected(
            random_predictions(0),
            NAMES,
            "notumor",
            validation=random_predictions(1, 300),
            duplicates=Duplicates(ODD, "a" * 64, ["learnt"]),
        )
    )


def line(text: str, beginning: str) -> str:
    """The first line that begins so."""
    return next(line for line in text.splitlines() if line.startswith(beginning))


def test_the_papers_table_2_as_text() -> None:
    assert table2(confusion_metrics(PAPER, NAMES, "notumor")) == (
        "class             images  precision    recall    95 % interval  specificity       F1  "
        "AUROC\n"
        "----------------  ------  ---------  --------  ---------------  -----------  -------  "
        "-----\n"
        "glioma               300   100.00 %   99.00 %   [97.10, 99.66]     100.00 %  99.50 %  "
        "    –\n"
        "meningioma           306    98.70 %   99.02 %   [97.16, 99.67]      99.60 %  98.86 %  "
        "    –\n"
        "notumor              405    99.51 %  100.00 %  [99.06, 100.00]      99.78 %  99.75 %  "
        "    –\n"
        "pituitary            300    99.67 %   99.67 %   [98.14, 99.94]      99.90 %  99.67 %  "
        "    –\n"
        "----------------  ------  ---------  --------  ---------------  -----------  -------  "
        "-----\n"
        "macro average      1,311    99.47 %   99.42 %                                99.44 %\n"
        "weighted average   1,311    99.47 %   99.47 %                                99.47 %\n"
        "\n"
        "accuracy             99.47 % [98.90, 99.74]  (7 of 1,311 wrong)\n"
        "balanced accuracy    99.42 %\n"
        "missed tumours       2 of 906 predicted as notumor: 0.22 % [0.06, 0.80]  (2 meningioma)\n"
        "false alarms         0 of 405 predicted as a tumour: 0.00 % [0.00, 0.94]\n"
    )


def test_metrics_of_probabilities(everything: dict[str, Any]) -> None:
    text = table2(everything)
    auroc = everything["auroc"]
    assert line(text, "glioma").endswith(f"{everything['per_class']['glioma']['auroc']:.4f}")
    assert line(text, "macro average").endswith(f"  {auroc['macro']:.4f}")
    low, high = auroc["tumour_ci95"]
    assert f"{auroc['tumour']:.4f} [{low:.4f}, {high:.4f}] (tumour or not)" in text
    low, high = everything["accuracy_ci95_grouped"]
    told = line(text, "accuracy  ")
    assert told.endswith(f"by duplicate groups [{100 * low:.2f}, {100 * high:.2f}]")
    assert line(text, "Brier score").endswith(f"{everything['brier']:.4f}  (0 to 2)")
    fitted = everything["calibration"]["temperature"]
    told = line(text, "with temperature")
    assert f"ECE {percent(fitted['after']['ece'])}" in told
    assert f"(T = {fitted['value']:.3f}, fitted on 300 validation images)" in told
    reject = everything["selective"]["reject"]
    assert (
        line(text, "reject option").split()[2:]
        == (
            f"{reject['n_rejected']} below {reject['threshold']:.3f} abstained "
            f"({reject['rejected_right']} right); {reject['n_kept']} kept, "
            f"{percent(reject['risk'], reject['risk_ci95'])} wrong, "
            f"{reject['missed_tumour']['count']} tumours missed"
        ).split()
    )


def test_images_with_and_without_a_duplicate_stand_side_by_side(everything: dict[str, Any]) -> None:
    text = table2(everything)
    assert line(text, "images ").split()[1:] == [
        "all",
        "duplicate",
        "in",
        "training",
        "no",
        "duplicate",
    ]
    assert line(text, "number").split()[1:] == ["200", "2", "198"]
    assert line(text, "duplicate groups").split()[2:] == ["100", "1", "99"]
    every = everything["subsets"]["rows"][0]
    assert percent(every["accuracy"], every["accuracy_ci95"]) in text
    assert "–" in line(text, "  by groups")  # two images of one group have no interval


def test_the_comparison_is_one_line(everything: dict[str, Any]) -> None:
    assert line(table2({**everything, "comparison": COMPARISON}), "comparison") == (
        "comparison           −0.99 [−1.75, −0.21] points to resnet50 (teacher): 8 right only "
        "here, 21 there; McNemar p = 0.024"
    )
    assert "comparison" not in table2(everything)


def test_no_line_is_longer_than_a_page_is_wide(everything: dict[str, Any]) -> None:
    wide = copy.deepcopy(everything)
    wide["missed_tumour"] |= proportion(156, 906)
    wide["missed_tumour"]["by_class"] = {"glioma": 46, "meningioma": 88, "pituitary": 22}
    wide["comparison"] = COMPARISON
    assert max(map(len, table2(wide).splitlines())) <= 120


def test_what_is_undefined_is_a_dash_and_is_explained() -> None:
    text = table2(confusion_metrics(np.array([[3, 0], [0, 0]]), ("a", "b"), "a"))
    assert line(text, "b ").split() == ["b", "0", *["–"] * 3, "100.00", "%", "–", "–"]
    assert "missed tumours       –  (no tumour among the images)" in text
    assert "note: b has no examples" in text
    without = table2(confusion_metrics(np.array([[0, 0], [0, 3]]), ("a", "b"), "a"))
    assert "false alarms         –  (no a among the images)" in without


def test_data_without_a_negative_class_says_so() -> None:
    text = table2(confusion_metrics(np.eye(2, dtype=int), ("a", "b")))
    assert text.count("no class is named as tumour-free") == 2
