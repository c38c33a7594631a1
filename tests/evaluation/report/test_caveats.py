"""What the figures do not say: each sentence stands exactly where it is true."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fakd_jax.evaluation.report.caveats import caveats
from tests.evaluation.example_metrics import (
    example_metrics,
    metrics_with_nothing_known,
    subset,
)


def told(change: dict[str, Any] | None = None, settings: dict | None = None) -> str:
    """The caveats of the example with dotted keys changed, as one text."""
    metrics = copy.deepcopy(example_metrics())
    for dotted, value in (change or {}).items():
        *path, last = dotted.split(".")
        place = metrics
        for key in path:
            place = place[key]
        place[last] = value
    return "\n".join(caveats(metrics, settings))


def test_duplicates_are_counted_and_the_figure_without_them_is_given() -> None:
    assert "6 of 40 images have a duplicate among the training images" in told()
    assert "the accuracy without duplicates is 76.47 %" in told()  # 26 of 34
    assert "Nobody has looked" not in told()


@pytest.mark.parametrize(
    ("duplicates", "rest", "sentence"),
    [(0, 40, None), (40, 0, "Every image has a duplicate among the training images")],
)
def test_no_duplicates_and_nothing_but_duplicates(
    duplicates: int, rest: int, sentence: str | None
) -> None:
    empty = subset("all", 40, 32) | {"n": 0, "accuracy": None, "accuracy_ci95": None}
    rows = [
        subset("all", 40, 32),
        (subset("", duplicates, duplicates) if duplicates else empty)
        | {"name": "duplicate in training"},
        (subset("", rest, 30) if rest else empty) | {"name": "no duplicate"},
    ]
    text = told({"subsets.rows": rows})
    assert "accuracy without duplicates" not in text
    assert (sentence is None) == ("duplicate among" not in text)
    assert sentence is None or sentence in text


def test_duplicates_that_were_set_apart_are_not_among_the_images_of_the_figures() -> None:
    rows = [
        subset("all", 1311, 1300),
        subset("duplicate in training", 995, 990),
        subset("no duplicate", 316, 310),
    ]
    text = told({"n": 316, "subsets.rows": rows})
    assert "995 of 1,311 images have a duplicate among the training images" in text
    assert (
        "995 test images with a duplicate were set apart, and the figures of this page leave"
        in text
    )
    assert "flatter" not in text
    assert "set apart" not in told()


def test_data_that_nobody_audited() -> None:
    assert "Nobody has looked for copies" in told({"subsets": None})


def test_an_audit_of_data_whose_split_is_not_known() -> None:
    text = told({"subsets.rows": None})
    assert "has been audited, but which of its images, if any, the network was trained on" in text
    assert "Nobody has looked" not in text
    assert "has been audited" not in told()


def test_phantoms_are_no_patients_and_other_data_names_none() -> None:
    assert "names no patients" in told()
    phantom = told({"provenance.data.source": "phantom"})
    assert "drawn by a program" in phantom
    assert "hospitals" not in phantom
    assert "drawn by a program" not in told()


@pytest.mark.parametrize(
    ("same", "sentence"),
    [
        (True, None),
        (False, "not the data that the network was trained on"),
        (None, "Which data the network was trained on is not known"),
    ],
)
def test_whether_it_is_the_data_trained_on(same: bool | None, sentence: str | None) -> None:
    text = told({"provenance.data.same_as_training": same})
    assert ("the network was trained on" in text) == (sentence is not None)
    assert sentence is None or sentence in text


@pytest.mark.parametrize(
    ("split", "sentence"),
    [
        ("test", "accuracy on the validation images (87.50 %)"),
        ("val", "These are validation images, which chose the epoch"),
        ("train", "These are training images"),
    ],
)
def test_what_chose_the_epoch(split: str, sentence: str) -> None:
    others = {"chosen by the accuracy", "These are validation", "These are training"}
    text = told({"provenance.split": split})
    assert sentence in text
    assert sum(other in text for other in others) == 1


def test_a_network_whose_epoch_nobody_recorded() -> None:
    assert "epoch" not in told({"provenance.trained": None})


def test_test_images_that_the_run_may_not_have_set_apart() -> None:
    assert "could have trained on them" not in told()
    assert "could have trained on them" in told({"provenance.split_origin": "the data itself"})


def test_what_was_fitted_on_how_many_images() -> None:
    assert "temperature was fitted on 24 validation images" in told()
    assert "threshold was chosen on 24 validation images" in told()
    assert "temperature" not in told({"calibration.temperature": None})
    assert "threshold" not in told({"selective.reject": None})


def test_the_seed_is_told_where_it_is_known() -> None:
    assert "one training run (seed 5)" in told(settings={"seed": 5})
    assert "one training run. Another" in told()


@pytest.mark.parametrize(
    ("unit", "sentence"),
    [("image", "every image for independent of the others"), ("duplicate group", "keep copies")],
)
def test_what_the_intervals_take_for_independent(unit: str, sentence: str) -> None:
    assert sentence in told({"bootstrap.unit": unit})


def test_classes_with_few_images_are_named() -> None:
    text = told({"per_class.astro.support": 100, "per_class.zoster.support": 0})
    assert "negative has 12 images: one more or less right moves its sensitivity by 8.3" in text
    assert "astro has" not in text
    assert "zoster has" not in text


def test_how_common_the_negative_class_is() -> None:
    assert "30.00 % of these images are negative" in told()
    assert "how common" not in told({"false_alarm": None})


def test_with_nothing_known_the_rest_still_stands() -> None:
    text = "\n".join(caveats(metrics_with_nothing_known(), None))
    assert "no clinical benefit" in text
    assert "None" not in text
