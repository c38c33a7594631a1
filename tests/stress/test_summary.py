"""Means, the worst, and two networks side by side."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.metrics.comparison import compare_predictions
from fakd_jax.stress.summary import compare, summarise
from tests.stress.examples import measured
from tests.stress.test_measure import CLASSES, LABELS, RIGHT, random_network


def test_summary_by_hand() -> None:
    network = measured(CLASSES, LABELS)
    summary = summarise(network, network.rows())
    assert summary["clean"]["accuracy"] == 1
    shifted = np.mean([5 / 6, 3 / 6, 1, 2 / 6])
    for name in ("mean", "mean_1_to_3"):
        assert summary[name]["accuracy"] == pytest.approx(shifted)
        assert summary[name]["missed_tumour"]["rate"] == pytest.approx(7 / 16)
    by_group = {name: row["accuracy"] for name, row in summary["by_group"].items()}
    assert by_group == pytest.approx({"intensity": 4 / 6, "artefacts": 4 / 6})
    by_severity = {name: row["accuracy"] for name, row in summary["by_severity"].items()}
    assert by_severity == pytest.approx({1: 11 / 12, 3: 5 / 12})
    assert summary["mean"]["ece"] == pytest.approx(np.mean([0.9 - 5 / 6, 0.4, 0.1, 0.9 - 2 / 6]))
    for name in ("worst", "worst_family_at_3", "most_missed"):
        assert (summary[name]["family"], summary[name]["severity"]) == ("noise", 3)


def test_differences_are_those_of_a_comparison() -> None:
    groups = {f"Testing/{index}.png": index // 3 for index in range(60)}
    labels, classes, network = random_network(groups)
    order = [classes[i].tolist() for i in (3, 0, 4, 1, 2)]
    other = measured(order, labels, groups=groups)
    found = compare(network, other)
    for index, row in enumerate(found["conditions"]):
        right, other_right = classes[index] == labels, np.array(order[index]) == labels
        expected = compare_predictions(right, other_right, network.units)
        for key, value in row.items():
            assert (
                value == pytest.approx(expected[key])
                if key != "verdict"
                else value == expected[key]
            )


def test_all_conditions_of_a_unit_change_sides_together() -> None:
    """One image, wrong in each of the other network's four conditions, is one observation."""
    wrong = (1, *RIGHT[1:])
    found = compare(measured([RIGHT] * 5, LABELS), measured([RIGHT] + [wrong] * 4, LABELS))
    assert found["mean"]["difference"] == pytest.approx(1 / 6)
    assert (found["mean"]["only_this_right"], found["mean"]["only_other_right"]) == (4, 0)
    assert found["mean"]["sign_flip_p"] == 1.0


def test_mean_corruption_errors_by_hand() -> None:
    # Errors of 6 images: clean, dark 1 and 3, noise 1 and 3.
    def network(*errors: int):
        classes = [tuple((label + (i < n)) % 3 for i, label in enumerate(LABELS)) for n in errors]
        return measured(classes, LABELS)

    found = compare(network(0, 1, 1, 0, 3), network(1, 2, 2, 1, 1))
    assert found["mce"]["value"] == pytest.approx((2 / 4 + 3 / 2) / 2)
    assert found["mce"]["families"] == 2
    assert found["relative_mce"] == {"value": pytest.approx(2 / 2), "ci95": None, "families": 1} | {
        "ci95": found["relative_mce"]["ci95"]
    }
    same = network(1, 2, 2, 1, 1)
    assert compare(same, same)["mce"]["value"] == 1
    perfect = network(0, 0, 0, 0, 0)
    assert compare(same, perfect)["mce"] == {"value": None, "ci95": None, "families": 0}
