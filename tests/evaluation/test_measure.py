"""From answers to `metrics.json`: what is known beside the answers reaches the figures."""

from __future__ import annotations

import json
from pathlib import Path

from fakd_jax.evaluation.baseline import Baseline
from fakd_jax.evaluation.collect import NamedAnswer
from fakd_jax.evaluation.measure import Duplicates, measure
from fakd_jax.evaluation.report.text import table2
from fakd_jax.metrics.classification import add_validation, classification_metrics
from fakd_jax.metrics.resampling import group_numbers
from fakd_jax.metrics.subsets import subset_rows
from tests.evaluation.answers import NAMES, random_answers

IDS = [f"Testing/{index}.png" for index in range(200)]
ANSWERS = random_answers(0)
GROUPS = {id: index // 2 for index, id in enumerate(IDS[:120])} | {"Training/0.png": 0}


def test_answers_alone() -> None:
    alone = measure(IDS, ANSWERS, NAMES, "notumor")
    plain = classification_metrics(ANSWERS.probabilities, ANSWERS.labels, NAMES, "notumor")
    assert alone == {**plain, "subsets": None, "comparison": None}


def test_with_validation_images() -> None:
    validation = random_answers(1)
    measured = measure(IDS, ANSWERS, NAMES, "notumor", validation=validation)
    plain = classification_metrics(ANSWERS.probabilities, ANSWERS.labels, NAMES, "notumor")
    expected = add_validation(plain, ANSWERS, validation, "notumor")
    assert measured == {**expected, "subsets": None, "comparison": None}


def test_with_duplicates() -> None:
    measured = measure(
        IDS, ANSWERS, NAMES, "notumor", duplicates=Duplicates(GROUPS, "f00d", ["Training/0.png"])
    )
    assert measured["bootstrap"]["unit"] == "duplicate group"
    assert measured["bootstrap"]["units"] == 60 + 80
    assert measured["subsets"]["audit"] == "f00d"
    predictions = ANSWERS.probabilities.argmax(axis=1)
    assert measured["subsets"]["rows"] == subset_rows(
        IDS, ANSWERS.labels, predictions, NAMES, "notumor", GROUPS, ["Training/0.png"]
    )
    every, duplicate, _ = measured["subsets"]["rows"]
    assert duplicate["n"] == 2
    assert every["accuracy_ci95_grouped"] == measured["accuracy_ci95_grouped"]
    assert json.loads(json.dumps(measured, allow_nan=False)) == measured


def test_duplicates_where_the_training_images_are_not_known() -> None:
    measured = measure(IDS, ANSWERS, NAMES, "notumor", duplicates=Duplicates(GROUPS, "f00d", None))
    assert measured["subsets"] == {"audit": "f00d", "rows": None}
    known = measure(IDS, ANSWERS, NAMES, "notumor", duplicates=Duplicates(GROUPS, "f00d", []))
    assert measured | {"subsets": known["subsets"]} == known
    assert measured["accuracy_ci95_grouped"] is not None
    assert table2(measured) == table2(measured | {"subsets": None})


def test_data_without_duplicates_has_been_audited_all_the_same() -> None:
    measured = measure(IDS, ANSWERS, NAMES, duplicates=Duplicates({}, "f00d", ["Training/0.png"]))
    assert measured["bootstrap"]["unit"] == "duplicate group"
    assert [row["n"] for row in measured["subsets"]["rows"]] == [200, 0, 200]
    assert measured["accuracy_ci95_grouped"] is not None


def test_a_comparison_draws_the_duplicate_groups_too() -> None:
    answers = {
        id: NamedAnswer(NAMES[label], NAMES[(label + (index % 3 == 0)) % 4])
        for index, (id, label) in enumerate(zip(IDS, ANSWERS.labels, strict=True))
    }
    baseline = Baseline(Path("predictions.csv"), answers, {"arch": "resnet50"})
    alone = measure(IDS, ANSWERS, NAMES, baseline=baseline)["comparison"]
    assert alone["with"] == {"arch": "resnet50"}
    assert alone["both_right"] + alone["only_other_right"] == 133
    everything_twice = Duplicates({id: i // 2 for i, id in enumerate(IDS)}, "f00d", [])
    grouped = measure(IDS, ANSWERS, NAMES, baseline=baseline, duplicates=everything_twice)[
        "comparison"
    ]
    assert grouped["difference_ci95"] != alone["difference_ci95"]
    assert grouped["mcnemar_p"] == alone["mcnemar_p"]
    assert group_numbers(IDS, everything_twice.groups).max() == 99
