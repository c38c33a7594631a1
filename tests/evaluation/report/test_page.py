"""The HTML report: every figure is there, what is not known is told, nothing is invented."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from fakd_jax.evaluation.report.mistakes import Mistake
from fakd_jax.evaluation.report.page import Pictures, html_report
from fakd_jax.metrics.classification import NOT_ASKED_FOR, Answers, add_validation
from fakd_jax.metrics.comparison import compare_answers
from tests.evaluation.example_metrics import (
    FINGERPRINT,
    SHA,
    example_metrics,
    metrics_with_nothing_known,
)
from tests.evaluation.report.pages import PNG, SETTINGS, TO_AUDIT, words

PICTURES = Pictures(PNG, PNG, PNG, PNG)
MISTAKE = Mistake(
    id="test/<odd> & name.png",
    image=np.zeros((5, 4, 3), np.uint8),
    truth="astro",
    prediction="negative",
    probabilities={"astro": 0.021, "negative": 0.9, "zoster": 0.079},
    duplicate="train/copy.png",
)


def render(metrics: dict[str, Any] | None = None, **changes: Any) -> str:
    arguments = {
        "pictures": PICTURES,
        "mistakes": [MISTAKE],
        "settings": SETTINGS,
        "how_to_audit": TO_AUDIT,
    } | changes
    return html_report(example_metrics() if metrics is None else metrics, **arguments)


def test_headline_figures_come_with_intervals_and_counts() -> None:
    text = words(render())
    assert "accuracy 80.00 % [65.24, 89.50] 32 of 40 images right" in text
    assert "accuracy, copies together 80.00 % [65.12, 90.23]" in text
    assert "balanced accuracy 80.56 % [67.89, 90.12]" in text
    # Of 28 tumours 4 were called negative: 3 astro, 1 zoster.
    assert "missed tumours 14.29 % [5.70, 31.49] 4 of 28 tumours were called negative: " in text
    assert "3 astro, 1 zoster" in text
    assert "false alarms 16.67 % [4.70, 44.80] 2 of 12 negative images were called a tumour" in text
    assert "AUROC, any tumour 0.9123 [0.8500, 0.9600]" in text
    assert "2,000 bootstrap resamples of 37 duplicate groups (seed 0)" in text


def test_images_with_a_duplicate_and_without_stand_side_by_side() -> None:
    text = words(render())
    assert "all images 40 39 80.00 % [65.24, 89.50] 80.00 % [70.00, 90.00]" in text
    assert "with a duplicate in training 6 5 100.00 %" in text
    assert "without a duplicate 34 33 76.47 %" in text
    assert "has not been audited" not in text


def test_data_that_was_not_audited_is_warned_of_with_the_command_to_mend_it() -> None:
    page = render(example_metrics() | {"subsets": None})
    assert 'class="warning"' in page
    assert f"To find out: {TO_AUDIT} , then evaluate again" in words(page)


def test_an_audit_of_data_whose_split_is_not_known_is_not_asked_for_again() -> None:
    metrics = example_metrics()
    metrics["subsets"]["rows"] = None
    page = render(metrics | {"accuracy_ci95_grouped": None})
    text = words(page)
    assert 'class="warning"' in page
    assert "The data has been audited, but the run's split is not known." in text
    assert f"By the audit {'a' * 16}…" in text
    assert TO_AUDIT not in text
    assert "not been audited" not in text
    assert "Nobody has looked" not in text


def test_each_class_has_its_row() -> None:
    text = words(render())
    assert (
        "astro 16 75.00 % [50.50, 89.82] 87.50 % [75.00, 95.00] 80.00 % [61.00, 91.00] 77.42 % "
        "0.9321 [0.8800, 0.9700]" in text
    )
    assert "macro average 40 80.56 %" in text


def test_the_confusion_matrix_is_told_to_those_who_do_not_see_it() -> None:
    assert "astro: 12 astro, 3 negative, 1 zoster; negative: 2 astro, 10 negative" in render()


def test_calibration_before_and_after_temperature() -> None:
    text = words(render())
    # (4 * 0.4 + 10 * 0.65 + 26 * 0.93) / 40
    assert "On average the network is 80.70 % confident and 80.00 % right" in text
    assert "as the network gives them 8.12 % 0.6543 0.3219" in text
    assert "with temperature 1.37 3.45 % 0.6001 0.3102" in text
    assert "Fitted on 24 validation images it is 1.37: on those the network was too sure" in text
    assert "the log-likelihood is better with it (0.6543 before, 0.6001 after)" in text


def test_a_temperature_that_does_harm_is_not_praised() -> None:
    metrics = example_metrics()
    metrics["calibration"]["temperature"]["after"]["nll"] = 0.7
    assert "the log-likelihood is not better with it" in words(render(metrics))


def test_the_reject_option_and_its_price() -> None:
    text = words(render())
    assert "answers below a confidence of 76.54 % are left to a human" in text
    assert "It answers 30 of 40 images (75.00 %) and leaves 10" in text
    assert "Of its answers 10.00 % [3.46, 25.62] are wrong; of all answers 20.00 %" in text
    assert "Of the 21 tumours that it answers it misses 1 (4.76 %" in text
    assert "without it 4 of 28 are missed" in text
    assert "5 would have been answered right and 5 wrong" in text


def test_a_threshold_that_answers_nothing() -> None:
    metrics = example_metrics()
    nothing = {"count": 0, "n": 0, "rate": None, "ci95": None}
    metrics["selective"]["reject"] |= {
        "coverage": 0.0,
        "n_kept": 0,
        "n_rejected": 40,
        "risk": None,
        "risk_ci95": None,
        "missed_tumour": nothing,
    }
    assert "It answers nothing" in words(render(metrics))


def test_validation_images_without_an_error_choose_a_temperature_but_no_threshold() -> None:
    metrics = example_metrics()
    faultless = Answers(2 * np.eye(3), softmax(2 * np.eye(3), axis=1), np.arange(3))
    metrics = add_validation(metrics, faultless, faultless, "negative")
    text = words(render(metrics))
    assert "No threshold was chosen: the validation images have no error" in text
    assert "that needs the validation images" not in text


def test_calibration_that_was_not_asked_for() -> None:
    metrics = metrics_with_nothing_known()
    metrics["notes"] = [NOT_ASKED_FOR]
    text = words(render(metrics))
    assert "No temperature was fitted: this evaluation was asked not to (--no_calibr" in text
    assert "No threshold was chosen: this evaluation was asked not to (--no_calibr" in text
    assert "that needs the validation images" not in text


@pytest.mark.parametrize(
    ("p", "verdict"), [(0.7539, "does not show that one is better"), (0.01, "rarely")]
)
def test_the_comparison_and_what_chance_can_do(p: float, verdict: str) -> None:
    metrics = example_metrics()
    metrics["comparison"]["mcnemar_p"] = p
    text = words(render(metrics))
    assert "this one right 28 4 this one wrong 6 2" in text
    assert "−5.00 percentage points, 95 % interval −20.00 to +10.00" in text
    assert f"p = {p:.3g}" in text
    assert verdict in text


@pytest.mark.parametrize(
    ("right", "other_right", "difference"),
    [
        ([1, 0, 0, 1], [1, 0, 0, 1], "+0.00"),
        ([1, 1, 1, 1], [0, 0, 0, 0], "+100.00"),
    ],
)
def test_where_every_resample_agrees_the_difference_has_no_interval(
    right: list[int], other_right: list[int], difference: str
) -> None:
    metrics = example_metrics()
    metrics["comparison"] |= compare_answers(
        np.array(right, bool), np.array(other_right, bool), np.arange(4)
    )
    text = words(render(metrics))
    assert f"{difference} percentage points, no interval: every resample agrees" in text


def test_mistakes_are_shown_with_all_that_is_known_of_them() -> None:
    page = render()
    text = words(page)
    assert "1 of 8 wrong answers" in text
    assert "1. astro, called negative" in text
    assert "astro 2.1 %, negative 90.0 %, zoster 7.9 %" in text
    assert "test/<odd> & name.png" in text
    assert "<odd>" not in page
    assert "duplicate in training: train/copy.png" in text


@pytest.mark.parametrize(
    ("duplicate", "sentence"),
    [
        ("", "no duplicate in training"),
        (None, "Whether they have duplicates among the training images is not known"),
    ],
)
def test_no_duplicate_is_not_the_same_as_nobody_looked(
    duplicate: str | None, sentence: str
) -> None:
    mistake = Mistake(**{**vars(MISTAKE), "duplicate": duplicate})
    text = words(render(mistakes=[mistake]))
    assert sentence in text
    assert "duplicate in training: " not in text


def test_a_network_without_mistakes() -> None:
    metrics = example_metrics() | {"confusion_matrix": [[16, 0, 0], [0, 12, 0], [0, 0, 12]]}
    assert "There are none: every answer is right" in words(render(metrics, mistakes=[]))


def test_provenance_is_whole() -> None:
    text = words(render())
    for part in (SHA, FINGERPRINT, "student/best/7", "split.json (official, seed 11)", "1.25 ms"):
        assert part in text
    assert "seed of the training 41" in text
    assert "distillation.alpha 0.25" in text
    assert "phase student; step 7; epoch 3" in text


def test_it_says_at_once_that_it_is_not_for_diagnosis() -> None:
    page = render()
    head = words(page[: page.index("<nav")])
    assert "Research software, not for diagnosis." in head
    assert "tiny_mobilenet (config fakd, student/best/7) tells 3 classes apart" in head
    assert "warning" not in page[page.index("<body>") : page.index("<nav")]


def test_a_head_that_was_never_trained_is_warned_of() -> None:
    metrics = example_metrics()
    metrics["provenance"]["head"] = "random"
    page = render(metrics)
    assert 'class="warning"' in page[page.index("<body>") : page.index("<nav")]


def test_what_is_none_is_told_as_not_known_and_why() -> None:
    pictures = Pictures(PNG, PNG, PNG, None)
    text = words(render(metrics_with_nothing_known(), pictures=pictures, settings=None))
    assert "None" not in text
    assert "missed tumours – no class is named as free of tumour" in text
    assert "false alarms – no class is named as free of tumour" in text
    assert "AUROC, any tumour – not defined" in text
    assert "with copies kept together is not known, because the data has not been audited" in text
    assert "No temperature was fitted: that needs the validation images" in text
    assert "No threshold was chosen: that needs the validation images" in text
    assert "No other checkpoint was given" in text
    assert "the checkpoint lies in no workdir with a record of epochs" in text
    assert "the checkpoint lies in no workdir with a configuration" in text
    assert "config not known" in text


@pytest.mark.parametrize(
    "path",
    [(key,) for key in example_metrics() if key != "class_names"]
    + [
        ("auroc", "tumour"),
        ("calibration", "temperature"),
        ("selective", "reject"),
        ("per_class", "astro", "specificity"),
        ("bootstrap", "unit"),
        ("comparison", "difference_ci95"),
        ("provenance", "data", "fingerprint"),
    ],
)
def test_a_key_that_is_missing_is_not_passed_over(path: tuple[str, ...]) -> None:
    metrics = copy.deepcopy(example_metrics())
    place = metrics
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    with pytest.raises(KeyError, match=path[-1]):
        render(metrics)


def test_the_same_evaluation_gives_the_same_bytes() -> None:
    assert render() == render()
