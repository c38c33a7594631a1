"""The text report: the paper's Table 2 and the metrics beyond it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fakd_jax.evaluation.collect import Collected, Duplicates
from fakd_jax.evaluation.measure import measure
from fakd_jax.evaluation.report.text import table2
from fakd_jax.metrics.confusion import confusion_metrics
from fakd_jax.metrics.resampling import proportion
from fakd_jax.reporting.numbers import decimal, percent, percent_interval
from tests.evaluation.example_metrics import example_metrics
from tests.evaluation.predictions import NAMES, PAPER, random_predictions

GROUPS = {f"{i}": i // 2 for i in range(200)} | {"trained on": 3}


@pytest.fixture(scope="module")
def everything() -> dict[str, Any]:
    """Metrics of predictions with validation images and duplicates known."""
    return measure(
        Collected(
            random_predictions(0),
            NAMES,
            "notumor",
            validation=random_predictions(1, 300),
            groups=GROUPS,
            duplicates=Duplicates("a" * 64, ["trained on"]),
        )
    )


def line(text: str, beginning: str) -> str:
    """The first line with this beginning."""
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
    assert decimal(auroc["tumour"], auroc["tumour_ci95"]) in line(text, "AUROC")
    grouped = percent_interval(everything["accuracy_ci95_grouped"])
    assert line(text, "accuracy  ").endswith(grouped)
    for name, start in (("brier", "Brier score"), ("nll", "neg. log-likelihood")):
        assert decimal(everything[name], everything[f"{name}_ci95"]) in line(text, start)
    for part in (
        percent(everything["ece"], everything["ece_ci95"]),
        f"{percent(everything['ece_if_calibrated'])} expected if calibrated",
    ):
        assert part in line(text, "calibration error")
    fitted = everything["calibration"]["temperature"]
    for part in (percent(fitted["after"]["ece"]), f"T = {fitted['value']:.3f}", "300 validation"):
        assert part in line(text, "with temperature")
    reject = everything["selective"]["reject"]
    for part in (
        f"{reject['n_rejected']} below {reject['threshold']:.3f} abstained",
        f"{reject['rejected_right']} right",
        f"{reject['n_kept']} kept, {percent(reject['risk'], reject['risk_ci95'])} wrong",
        f"{reject['missed_tumour']['count']} tumours missed",
    ):
        assert part in line(text, "reject option")


def test_images_with_and_without_a_duplicate_are_in_columns(everything: dict[str, Any]) -> None:
    text = table2(everything)
    assert line(text, "number").split()[1:] == ["200", "2", "198"]
    assert line(text, "duplicate groups").split()[2:] == ["100", "1", "99"]
    every = everything["subsets"]["rows"][0]
    assert percent(every["accuracy"], every["accuracy_ci95"]) in text
    assert "–" in line(text, "  by groups")  # two images of one group have no interval


def test_each_operating_point_has_its_rates_and_its_values_at_each_prevalence() -> None:
    metrics = example_metrics()
    text = table2(metrics)
    assert sum(row.startswith("tumour or not") for row in text.splitlines()) == 3
    assert "threshold with specificity 95.0 % on validation images" in text
    point = metrics["tumour"]["points"][0]
    found, values = point["sensitivity"], point["predictive_values"][1]
    assert f"sensitivity {percent(found['rate'], found['ci95'])}" in text
    assert f"at 1.0 % tumours PPV {percent(values['ppv'], values['ppv_ci95'], digits=1)}" in text
    assert "\ntumour or not" not in table2(metrics | {"tumour": None})


def test_the_comparison_is_there_if_there_was_one(everything: dict[str, Any]) -> None:
    text = table2(example_metrics())
    for part in (
        *("−5.00 [−20.00, +10.00] points to tiny_resnet", "4 right", "6 there", "p = 0.812"),
        "The data do not settle which",
    ):
        assert part in text
    assert "comparison" not in table2(everything)


def test_the_intensity_rule_is_there_if_there_is_one() -> None:
    metrics = example_metrics()
    assert "intensity" not in table2(metrics)
    metrics["provenance"]["preprocessing"]["intensity"] = "head_percentiles"
    assert line(table2(metrics), "intensity").split() == ["intensity", "head_percentiles"]


def test_no_line_is_longer_than_120_characters() -> None:
    wide = example_metrics()
    wide["missed_tumour"] |= proportion(156, 906)
    wide["missed_tumour"]["by_class"] = {"glioma": 46, "meningioma": 88, "pituitary": 22}
    assert max(map(len, table2(wide).splitlines())) <= 120


def test_what_is_undefined_is_a_dash_and_is_explained() -> None:
    text = table2(confusion_metrics(np.array([[3, 0], [0, 0]]), ("a", "b"), "a"))
    assert line(text, "b ").split() == ["b", "0", *["–"] * 3, "100.00", "%", "–", "–"]
    assert "–  (no tumour among the images)" in line(text, "missed tumours")
    assert "note: b has no examples" in text
    text = table2(confusion_metrics(np.array([[0, 0], [0, 3]]), ("a", "b"), "a"))
    assert "–  (no a among the images)" in line(text, "false alarms")
    text = table2(confusion_metrics(np.eye(2, dtype=int), ("a", "b")))
    for name in ("missed tumours", "false alarms"):
        assert "–  (no class is named as tumour-free)" in line(text, name)
