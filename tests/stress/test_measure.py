"""Metrics of conditions: by hand, and as an evaluation computes them."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.metrics.classification import add_validation, classification_metrics
from fakd_jax.metrics.confusion import accuracy_intervals
from fakd_jax.metrics.resampling import group_numbers, independent_units
from tests.evaluation.predictions import predictions_of
from tests.stress.examples import NAMES, measured

# glioma, glioma, notumor, notumor, pituitary, pituitary
LABELS = (0, 0, 1, 1, 2, 2)
RIGHT = LABELS
CLASSES = (RIGHT, (0, 1, 1, 1, 2, 2), (1, 1, 1, 0, 2, 2), RIGHT, (1, 1, 1, 1, 1, 1))


def random_network(groups: dict[str, int] | None = None) -> tuple:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 60)
    classes = [
        np.where(random.random(60) < 0.3, random.integers(0, 3, 60), labels) for _ in "12345"
    ]
    return labels, classes, measured([each.tolist() for each in classes], labels, groups=groups)


def test_rows_by_hand() -> None:
    rows = measured(CLASSES, LABELS).rows()
    assert [row["accuracy"] for row in rows] == pytest.approx([1, 5 / 6, 3 / 6, 1, 2 / 6])
    assert [row["balanced_accuracy"] for row in rows] == pytest.approx([1, 5 / 6, 3 / 6, 1, 1 / 3])
    missed = [(row["missed_tumour"]["count"], row["missed_tumour"]["n"]) for row in rows]
    assert missed == [(0, 4), (1, 4), (2, 4), (0, 4), (4, 4)]
    assert [row["confidence"] for row in rows] == pytest.approx([0.9] * 5)
    assert rows[1]["ece"] == pytest.approx(0.9 - 5 / 6)
    assert rows[1]["nll"] == pytest.approx(-(5 * np.log(0.9) + np.log(0.05)) / 6)
    assert rows[0]["amount"] is None
    assert (rows[2]["family"], rows[2]["severity"], rows[2]["amount"]) == ("dark", 3, 0.3)
    for row in rows:
        assert row["calibrated"] is row["abstained"] is row["kept"] is None
        assert row["accuracy_ci95_grouped"] is None


def test_a_row_is_what_an_evaluation_reports() -> None:
    validation = predictions_of(np.random.default_rng(1).normal(size=(40, 3)), np.arange(40) % 3)
    labels, classes, _ = random_network()
    groups = {f"Testing/{index}.png": index // 2 for index in range(60)}
    network = measured(
        [each.tolist() for each in classes], labels, groups=groups, validation=validation
    )
    numbers = group_numbers([f"Testing/{index}.png" for index in range(60)], groups)
    row, predictions = network.rows()[2], list(network.stressed.predictions.values())[2]
    plain = classification_metrics(predictions, NAMES, "notumor", groups=numbers)
    expected = add_validation(plain, predictions, validation, "notumor", groups=numbers)
    for key in (
        "accuracy",
        "accuracy_ci95",
        "balanced_accuracy",
        "ece",
        "ece_ci95",
        "nll",
        "nll_ci95",
    ):
        assert row[key] == pytest.approx(expected[key]), key
    assert row["accuracy_ci95_grouped"] == pytest.approx(expected["accuracy_ci95_grouped"])
    assert row["balanced_accuracy_ci95"] == pytest.approx(expected["balanced_accuracy_ci95"])
    assert row["missed_tumour"]["ci95"] == expected["missed_tumour"]["ci95"]
    assert row["calibrated"] == expected["calibration"]["temperature"]["after"]
    reject = expected["selective"]["reject"]
    assert reject is not None
    assert network.threshold == reject["threshold"]
    assert row["abstained"]["count"] == reject["n_rejected"]
    assert row["kept"]["n"] == reject["n_kept"]
    if reject["n_kept"]:
        assert row["kept"]["rate"] == pytest.approx(1 - reject["risk"])


def test_duplicates_widen_the_intervals() -> None:
    labels, classes, _ = random_network()
    twice = [np.concatenate([each, each]).tolist() for each in classes]
    groups = {f"Testing/{index}.png": index % 60 for index in range(120)}
    alone = measured(twice, [*labels, *labels]).sums.metrics([1])
    together = measured(twice, [*labels, *labels], groups=groups).sums.metrics([1])
    for name in ("accuracy_ci95", "balanced_accuracy_ci95"):
        assert np.ptp(together[name]) == pytest.approx(np.sqrt(2) * np.ptp(alone[name]), rel=0.1)
    assert np.ptp(together["missed_tumour"]["ci95"]) > 1.2 * np.ptp(alone["missed_tumour"]["ci95"])


def test_conditions_are_pooled_and_share_their_resamples() -> None:
    labels, classes, network = random_network()
    pooled = network.sums.metrics([1, 2])
    accuracies = [float(np.mean(each == labels)) for each in classes[1:3]]
    assert pooled["accuracy"] == pytest.approx(np.mean(accuracies))
    assert pooled["missed_tumour"]["n"] == 2 * int(np.sum(labels != 1))
    both = network.sums.right([1]) + network.sums.right([2])
    np.testing.assert_allclose(network.sums.right([1, 2]), both / 2)
    units = independent_units(None, 60)
    interval = accuracy_intervals(labels, classes[1], 3, units)["accuracy"]
    assert network.sums.metrics([1])["accuracy_ci95"] == pytest.approx(interval)
