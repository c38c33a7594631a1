"""All figures together: that they fit each other, what they are drawn from, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from fakd_jax.errors import UserError
from fakd_jax.metrics.calibration import calibration_scores, fit_temperature, scale_logits
from fakd_jax.metrics.classification import Answers, add_validation, classification_metrics
from fakd_jax.metrics.confusion import confusion_matrix, metrics_of_confusion
from fakd_jax.metrics.selective import choose_threshold
from tests.evaluation.answers import NAMES, random_answers, random_probabilities


def test_the_figures_fit_each_other() -> None:
    probabilities, labels = random_probabilities(0)
    figures = classification_metrics(probabilities, labels, NAMES, "notumor")
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1), 4)
    counted = metrics_of_confusion(matrix, NAMES, "notumor")
    per_class = counted.pop("per_class")
    assert counted.items() <= figures.items()
    for index, name in enumerate(NAMES):
        ours = figures["per_class"][name]
        assert per_class[name].items() <= ours.items()
        expected = roc_auc_score(labels == index, probabilities[:, index])
        assert ours["auroc"] == pytest.approx(expected)
        assert ours["auroc_ci95"][0] < expected < ours["auroc_ci95"][1]
    low, high = figures["balanced_accuracy_ci95"]
    assert low < figures["balanced_accuracy"] < high
    for key in ("macro", "tumour"):
        low, high = figures["auroc"][f"{key}_ci95"]
        assert low < figures["auroc"][key] < high
    assert figures["nll"] == pytest.approx(log_loss(labels, probabilities))
    assert sum(row["n"] for row in figures["calibration"]["bins"]) == figures["n"]
    everything = figures["selective"]["curve"][-1]
    assert everything["risk"] == pytest.approx(1 - figures["accuracy"])
    assert everything["coverage"] == 1
    assert figures["selective"]["aurc"] < 1 - figures["accuracy"]


def test_what_needs_other_images_is_none() -> None:
    figures = classification_metrics(*random_probabilities(0), NAMES)
    assert figures["calibration"]["temperature"] is None
    assert figures["selective"]["reject"] is None
    assert figures["accuracy_ci95_grouped"] is None
    assert figures["auroc"]["tumour"] is figures["auroc"]["tumour_ci95"] is None
    assert figures["bootstrap"] == {"resamples": 2000, "seed": 0, "unit": "image", "units": 200}


def test_groups_are_the_bootstraps_units() -> None:
    probabilities, labels = (np.repeat(part, 4, axis=0) for part in random_probabilities(0))
    alone = classification_metrics(probabilities, labels, NAMES, "notumor")
    grouped = classification_metrics(
        probabilities, labels, NAMES, "notumor", groups=np.arange(800) // 4
    )
    assert grouped["bootstrap"]["unit"] == "duplicate group"
    assert grouped["bootstrap"]["units"] == 200
    assert grouped["accuracy"] == alone["accuracy"]
    assert grouped["accuracy_ci95"] == alone["accuracy_ci95"]

    def ratio(key: str, within: str = "") -> float:
        ends = [figures[within][key] if within else figures[key] for figures in (grouped, alone)]
        return (ends[0][1] - ends[0][0]) / (ends[1][1] - ends[1][0])

    # Four copies of everything: the true intervals are twice as wide.
    assert ratio("balanced_accuracy_ci95") == pytest.approx(2, rel=0.1)
    assert ratio("macro_ci95", "auroc") == pytest.approx(2, rel=0.1)
    low, high = grouped["accuracy_ci95_grouped"]
    plain_low, plain_high = alone["accuracy_ci95"]
    assert (high - low) / (plain_high - plain_low) == pytest.approx(2, rel=0.1)


def test_json_can_hold_every_figure() -> None:
    figures = classification_metrics(*random_probabilities(0), NAMES, "notumor")
    figures = add_validation(figures, random_answers(0), random_answers(1), "notumor")
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_the_validation_images_choose_and_the_others_pay() -> None:
    test, validation = random_answers(0, 300, 3.0), random_answers(1, 500, 3.0)
    plain = classification_metrics(test.probabilities, test.labels, NAMES, "notumor")
    figures = add_validation(plain, test, validation, "notumor")
    temperature = figures["calibration"]["temperature"]
    assert temperature["value"] == fit_temperature(validation.logits, validation.labels).value > 1
    assert temperature["fitted_on"] == {"split": "val", "n": 500}
    assert temperature["before"] == {key: plain[key] for key in ("ece", "nll", "brier")}
    scaled = scale_logits(test.logits, temperature["value"])
    assert temperature["after"] == calibration_scores(scaled, test.labels)
    assert temperature["after"]["nll"] < temperature["before"]["nll"]
    assert temperature["after"]["ece"] < temperature["before"]["ece"]
    assert sum(row["n"] for row in temperature["bins_after"]) == 300

    reject = figures["selective"]["reject"]
    threshold, rule = choose_threshold(
        validation.probabilities.max(axis=1),
        validation.probabilities.argmax(axis=1) != validation.labels,
    )
    assert (reject["threshold"], reject["rule"]) == (threshold, rule)
    assert reject["chosen_on"] == {"split": "val", "n": 500}
    assert reject["n_kept"] == np.sum(test.probabilities.max(axis=1) >= threshold)
    assert reject["n_kept"] + reject["rejected_right"] + reject["rejected_wrong"] == 300
    assert reject["risk"] < 1 - plain["accuracy"]
    assert reject["missed_tumour"]["n"] < plain["missed_tumour"]["n"]
    # Nothing else changes.
    assert figures["calibration"]["bins"] == plain["calibration"]["bins"]
    assert figures["selective"]["curve"] == plain["selective"]["curve"]
    assert figures["notes"] == plain["notes"]
    assert plain["calibration"]["temperature"] is None


def test_validation_images_without_an_error_are_told() -> None:
    test = random_answers(0)
    labels = np.arange(40) % 4
    sure = Answers(9.0 * np.eye(4)[labels], scale_logits(9.0 * np.eye(4)[labels], 1.0), labels)
    plain = classification_metrics(test.probabilities, test.labels, NAMES)
    figures = add_validation(plain, test, sure)
    assert figures["selective"]["reject"] is None
    assert figures["calibration"]["temperature"]["value"] == 0.1
    assert [note.split(":")[0] for note in figures["notes"]] == [
        "the temperature is at its lower bound, 0.1",
        "no reject threshold",
    ]


def test_no_examples_is_the_users_to_mend() -> None:
    with pytest.raises(UserError, match="no examples"):
        classification_metrics(np.zeros((0, 4)), np.zeros(0, np.int64), NAMES)


def test_output_that_is_not_finite_is_the_users_to_mend() -> None:
    probabilities = np.array([[0.5, 0.5], [np.nan, np.nan]])
    with pytest.raises(UserError, match="not finite for 1 of 2"):
        classification_metrics(probabilities, np.array([0, 1]), ("a", "b"))
    fine = Answers(np.zeros((2, 2)), np.full((2, 2), 0.5), np.array([0, 1]))
    figures = classification_metrics(fine.probabilities, fine.labels, ("a", "b"))
    with pytest.raises(UserError, match="not finite for 1 of 2"):
        add_validation(figures, fine, fine._replace(probabilities=probabilities))


@pytest.mark.parametrize(
    ("probabilities", "labels", "names", "negative"),
    [
        (np.full((2, 2), 0.5), [0], ("a", "b"), None),
        (np.full((1, 2), 0.5), [0], ("a", "b", "c"), None),
        (np.full((1, 2), 0.7), [0], ("a", "b"), None),
        (np.full((1, 2), 0.5), [2], ("a", "b"), None),
        (np.full((1, 2), 0.5), [-1], ("a", "b"), None),
        (np.full((1, 2), 0.5), [0], ("a", "b"), "c"),
    ],
)
def test_what_would_mean_nothing_is_refused(
    probabilities: np.ndarray, labels: list, names: tuple, negative: str | None
) -> None:
    with pytest.raises((ValueError, TypeError)):  # TypeError where annotations are checked
        classification_metrics(probabilities, np.array(labels), names, negative)
