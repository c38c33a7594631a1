"""The HTML report: every metric, what is not known and why, each caveat only where it is true."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jinja2 import UndefinedError
from scipy.special import softmax

from fakd_jax.errors import UserError
from fakd_jax.evaluation.report.mistakes import Mistake
from fakd_jax.evaluation.report.page import html_report, write_report
from fakd_jax.metrics.classification import NOT_ASKED_FOR, add_validation
from fakd_jax.metrics.comparison import compare_predictions
from fakd_jax.metrics.predictions import Predictions
from tests.evaluation.example_metrics import (
    FINGERPRINT,
    SHA,
    example_metrics,
    metrics_with_nothing_known,
    subset,
)
from tests.evaluation.report.pages import PNG, SETTINGS, TO_AUDIT, words
from tests.reporting.reader import assert_self_contained

PICTURES = dict.fromkeys(("confusion_matrix", "reliability", "risk_coverage", "curves"), PNG)
MISTAKE = Mistake(
    id="test/<odd> & name.png",
    image=np.zeros((5, 4, 3), np.uint8),
    truth="astro",
    prediction="negative",
    probabilities={"astro": 0.021, "negative": 0.9, "zoster": 0.079},
    duplicate="train/copy.png",
)


def changed(changes: dict[str, Any]) -> dict[str, Any]:
    """The example metrics with dotted keys changed."""
    metrics = copy.deepcopy(example_metrics())
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        place = metrics
        for key in path:
            place = place[key]
        place[last] = value
    return metrics


def render(metrics: dict[str, Any] | None = None, **changes: Any) -> str:
    arguments = {
        "pictures": PICTURES,
        "mistakes": [MISTAKE],
        "settings": SETTINGS,
        "audit_command": TO_AUDIT,
    } | changes
    return html_report(example_metrics() if metrics is None else metrics, **arguments)


def test_every_metric_is_there_with_its_interval() -> None:
    text = words(render())
    for part in (
        "accuracy 80.00 % [65.24, 89.50] 32 of 40 images right",
        "accuracy, duplicates together 80.00 % [65.12, 90.23]",
        "balanced accuracy 80.56 % [67.89, 90.12]",
        # Of 28 tumours 4 were predicted as negative: 3 astro, 1 zoster.
        "missed tumours 14.29 % [5.70, 31.49] 4 of 28 tumours predicted as negative: 3 astro, 1 z",
        "false alarms 16.67 % [4.70, 44.80] 2 of 12 negative images predicted as a tumour",
        "AUROC, tumour or not 0.9123 [0.8500, 0.9600]",
        "2,000 bootstrap resamples of 37 duplicate groups (seed 0)",
        # With and without a duplicate in training.
        "all images 40 39 80.00 % [65.24, 89.50] 80.00 % [70.00, 90.00]",
        "with a duplicate in training 6 5 100.00 %",
        "without a duplicate 34 33 76.47 %",
        # Class by class.
        "astro 16 75.00 % [50.50, 89.82] 87.50 % [75.00, 95.00] 80.00 % [61.00, 91.00] 77.42 % "
        "0.9321 [0.8800, 0.9700]",
        "macro average 40 80.56 %",
        # Calibration: (4 * 0.4 + 10 * 0.65 + 26 * 0.93) / 40.
        "On average the network is 80.70 % confident and 80.00 % right",
        "as predicted 8.12 % 0.6543 0.3219",
        "with temperature 1.37 3.45 % 0.6001 0.3102",
        "Fitted on 24 validation images it is 1.37: on those the network was overconfident",
        "it improves the log-likelihood (0.6543 before, 0.6001 after)",
        # Selective prediction.
        "abstains below a confidence of 76.54 %",
        "It predicts 30 of 40 images (75.00 %) and abstains on 10",
        "Of its predictions 10.00 % [3.46, 25.62] are wrong; without it 20.00 %",
        "Of the 21 tumours that it predicts it misses 1 (4.76 %",
        "without it 4 of 28 are missed",
        "5 would have been predicted right and 5 wrong",
        # Comparison.
        "this one right 28 4 this one wrong 6 2",
        "−5.00 percentage points, 95 % interval −20.00 to +10.00",
        # Mistakes.
        "1 of 8 wrong predictions",
        "1. astro predicted as negative",
        "astro 2.1 %, negative 90.0 %, zoster 7.9 %",
        "test/<odd> & name.png duplicate in training: train/copy.png",
        # Provenance.
        *(SHA, FINGERPRINT, "student/best/7", "split.json (official, seed 11)", "1.25 ms"),
        "training seed 41",
        "distillation.alpha 0.25",
        "phase student; step 7; epoch 3",
    ):
        assert part in text, part
    assert "not been audited" not in text


def test_the_page_is_self_contained_and_its_bytes_repeat() -> None:
    assert_self_contained(render())
    assert_self_contained(render(metrics_with_nothing_known(), settings=None))
    assert render() == render()


def test_the_confusion_matrix_is_described_for_those_who_do_not_see_it() -> None:
    assert "astro: 12 astro, 3 negative, 1 zoster; negative: 2 astro, 10 negative" in render()


def test_it_says_at_once_that_it_is_not_for_diagnosis_and_warns_of_an_untrained_head() -> None:
    head, untrained = (
        page[page.index("<body>") : page.index("<nav")]
        for page in (render(), render(changed({"provenance.head": "random"})))
    )
    assert "Research software, not for diagnosis." in head
    assert 'class="warning"' not in head
    assert 'class="warning"' in untrained


def test_data_that_was_not_audited_is_warned_of_with_the_command_to_do_it() -> None:
    page = render(changed({"subsets": None}))
    assert 'class="warning"' in page
    assert f"run {TO_AUDIT} and evaluate again" in words(page)


def test_an_audit_of_data_whose_split_is_not_known_is_not_asked_for_again() -> None:
    text = words(render(changed({"subsets.rows": None, "accuracy_ci95_grouped": None})))
    assert "The data has been audited, but the run’s split is not known." in text
    assert f"From the audit {'a' * 16}…" in text
    assert TO_AUDIT not in text
    assert "not been audited" not in text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"calibration.temperature.after.nll": 0.7}, "it does not improve the log-likelihood"),
        ({"comparison.mcnemar_p": 0.7539}, "does not show that one is better"),
        ({"comparison.mcnemar_p": 0.01}, "p = 0.010. Chance alone rarely"),
        ({"comparison.difference_ci95": None}, "no interval, since all resamples agree"),
        (
            {
                "selective.reject.n_kept": 0,
                "selective.reject.risk": None,
                "selective.reject.missed_tumour": {"count": 0, "n": 0, "rate": None, "ci95": None},
            },
            "It abstains on every image",
        ),
        (
            {"confusion_matrix": [[16, 0, 0], [0, 12, 0], [0, 0, 12]]},
            "There are none: every prediction is right",
        ),
    ],
)
def test_the_sentence_fits_the_metrics(changes: dict[str, Any], expected: str) -> None:
    metrics = changed(changes)
    text = words(render(metrics))
    assert expected in text
    assert (
        expected not in words(render(changed({"comparison.mcnemar_p": 0.5}))) or "show" in expected
    )


def test_validation_images_without_an_error_choose_a_temperature_but_no_threshold() -> None:
    faultless = Predictions(
        ("0", "1", "2"), 2 * np.eye(3), softmax(2 * np.eye(3), axis=1), np.arange(3)
    )
    metrics = add_validation(example_metrics(), faultless, faultless, "negative")
    text = words(render(metrics))
    assert "No threshold was chosen: no validation image is misclassified" in text
    assert "it needs the validation images" not in text


def test_calibration_that_was_not_asked_for() -> None:
    text = words(render(metrics_with_nothing_known() | {"notes": [NOT_ASKED_FOR]}))
    assert text.count("this evaluation ran with --no_calibration") == 2
    assert "it needs the validation images" not in text


def test_two_networks_that_are_right_on_the_same_images() -> None:
    metrics = example_metrics()
    right = np.array([True, False, False, True])
    metrics["comparison"] |= compare_predictions(right, right, np.arange(4))
    assert "+0.00 percentage points, no interval" in words(render(metrics))


@pytest.mark.parametrize(
    ("duplicate", "sentence"),
    [
        ("", "no duplicate in training"),
        (None, "Whether they have duplicates among the training images is not known"),
    ],
)
def test_no_duplicate_is_not_the_same_as_not_audited(duplicate: str | None, sentence: str) -> None:
    text = words(render(mistakes=[Mistake(**{**vars(MISTAKE), "duplicate": duplicate})]))
    assert sentence in text
    assert "duplicate in training: " not in text


def test_what_is_none_is_reported_as_not_known_and_why() -> None:
    pictures = {name: picture for name, picture in PICTURES.items() if name != "curves"}
    text = words(render(metrics_with_nothing_known(), pictures=pictures, settings=None))
    assert "None" not in text
    for part in (
        "missed tumours – no class is named as tumour-free",
        "false alarms – no class is named as tumour-free",
        "AUROC, tumour or not – not defined",
        "with duplicates kept together is not known, because the data has not been audited",
        "No temperature was fitted: it needs the validation images",
        "No threshold was chosen: it needs the validation images",
        "No other checkpoint was given",
        "not in a workdir with a record of epochs",
        "not in a workdir with a configuration",
        "config not known",
        "not clinical benefit",
    ):
        assert part in text, part


@pytest.mark.parametrize(
    "path",
    [(key,) for key in example_metrics() if key != "class_names"]
    + [
        ("auroc", "tumour"),
        ("per_class", "astro", "specificity"),
        ("bootstrap", "unit"),
        ("provenance", "data", "fingerprint"),
    ],
)
def test_a_missing_key_is_an_error(path: tuple[str, ...]) -> None:
    metrics = copy.deepcopy(example_metrics())
    place = metrics
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    with pytest.raises((KeyError, UndefinedError), match=path[-1]):
        render(metrics)


def caveats(changes: dict[str, Any] | None = None, settings: dict | None = None) -> str:
    """The last section of the page."""
    page = render(changed(changes or {}), settings=settings)
    return words(page[page.index('id="what-these-metrics-do-not-say"') :])


@pytest.mark.parametrize(
    ("changes", "present", "absent"),
    [
        ({}, "the accuracy without duplicates is 76.47 %", "not been audited"),  # 26 of 34
        ({}, "6 of 40 images have a duplicate among", "set apart"),
        ({"subsets": None}, "has not been audited", "has been audited"),
        ({"subsets.rows": None}, "been audited, but which of its images", "not been audited"),
        ({}, "does not identify patients", "drawn by a program"),
        ({"provenance.data.source": "phantom"}, "drawn by a program", "hospitals"),
        ({}, "does not identify patients", "network was trained on"),
        (
            {"provenance.data.same_as_training": False},
            "trained on other data",
            "Which data the network",
        ),
        (
            {"provenance.data.same_as_training": None},
            "Which data the network was trained on",
            "trained on other data",
        ),
        ({}, "validation accuracy (87.50 %)", "These are"),
        ({"provenance.split": "val"}, "validation images, which chose the epoch", "chosen by its"),
        ({"provenance.split": "train"}, "These are training images", "epoch"),
        ({"provenance.trained": None}, "does not identify patients", "epoch"),
        ({}, "does not identify patients", "may have trained on them"),
        (
            {"provenance.split_origin": "the data itself"},
            "may have trained on them",
            "drawn by a program",
        ),
        ({}, "temperature was fitted on only 24 validation images", "phantoms"),
        ({"calibration.temperature": None}, "threshold was chosen on 24 validation", "temperature"),
        ({"selective.reject": None}, "temperature was fitted on only 24", "threshold"),
        ({"bootstrap.unit": "image"}, "treat all images as independent;", "keep duplicates"),
        (
            {"bootstrap.unit": "duplicate group"},
            "intervals keep duplicates together",
            "independent;",
        ),
        (
            {"per_class.astro.support": 100, "per_class.zoster.support": 0},
            "negative has 12 images: one more or one fewer right moves its sensitivity by 8.3",
            "astro has",
        ),
        ({}, "30.00 % of these images are negative", "zoster has 0"),
        ({"false_alarm": None}, "does not identify patients", "how common"),
    ],
)
def test_each_caveat_is_there_only_where_it_is_true(
    changes: dict[str, Any], present: str, absent: str
) -> None:
    text = caveats(changes)
    assert present in text
    assert absent not in text


def test_the_seed_is_given_where_it_is_known() -> None:
    assert "one training run (seed 41)" in caveats(settings=SETTINGS)
    assert "one training run. Another" in caveats()


@pytest.mark.parametrize(
    ("tested", "duplicates", "sentence"),
    [
        (40, 0, None),
        (40, 40, "Every image has a duplicate among the training images"),
        (1035, 995, "995 test images with a duplicate were set apart"),
    ],
)
def test_no_duplicates_nothing_but_duplicates_and_duplicates_set_apart(
    tested: int, duplicates: int, sentence: str | None
) -> None:
    def row(name: str, n: int) -> dict[str, Any]:
        empty = {"n": 0, "accuracy": None, "accuracy_ci95": None}
        return subset(name, n or 1, 1) | (empty if not n else {})

    rows = [
        row("all", tested),
        row("duplicate in training", duplicates),
        row("no duplicate", tested - duplicates),
    ]
    text = caveats({"subsets.rows": rows})
    assert "accuracy without duplicates" not in text
    assert (sentence is None) == ("duplicate among" not in text)
    assert sentence is None or sentence in text


def test_the_report_is_written_with_its_pictures_and_the_workdirs_records(tmp_path: Path) -> None:
    workdir = tmp_path / "run"
    workdir.mkdir()
    (workdir / "config.json").write_text(json.dumps(SETTINGS))
    record = {"phase": "student", "kind": "val", "epoch": 1, "loss": 1.0, "accuracy": 0.5}
    (workdir / "metrics.jsonl").write_text(json.dumps(record) + "\n")
    folder = tmp_path / "evaluation"
    folder.mkdir()
    write_report(folder, example_metrics(), [MISTAKE], workdir, audit_command=TO_AUDIT)
    assert sorted(path.name for path in folder.iterdir()) == [
        "confusion_matrix.png",
        "curves.png",
        "reliability.png",
        "report.html",
        "risk_coverage.png",
    ]
    text = words((folder / "report.html").read_text(encoding="utf-8"))
    assert "training seed 41" in text
    assert "record of epochs" not in text
    # Curves of an earlier report do not get into one without a workdir.
    write_report(folder, example_metrics(), [MISTAKE], None, audit_command=TO_AUDIT)
    text = words((folder / "report.html").read_text(encoding="utf-8"))
    assert "not in a workdir with a record of epochs" in text


def test_a_damaged_configuration_is_the_users_to_repair(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        write_report(tmp_path, example_metrics(), [], tmp_path, audit_command=TO_AUDIT)
