"""From predictions to `metrics.json`: validation images, duplicates and a baseline are used."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from fakd_jax.evaluation.baseline import Baseline
from fakd_jax.evaluation.collect import Collected, Duplicates
from fakd_jax.evaluation.measure import measure
from fakd_jax.evaluation.predictions_file import NamedPrediction
from fakd_jax.metrics.classification import add_validation, classification_metrics
from fakd_jax.metrics.detection import detection_metrics
from fakd_jax.metrics.subsets import subset_rows
from tests.evaluation.predictions import NAMES, random_predictions

IDS = tuple(f"Testing/{index}.png" for index in range(200))
PREDICTIONS = replace(random_predictions(0), ids=IDS)
GROUPS = {id: index // 2 for index, id in enumerate(IDS[:120])} | {"Training/0.png": 0}


def measured(**known: Any) -> dict[str, Any]:
    return measure(Collected(PREDICTIONS, NAMES, "notumor", **known))


def test_predictions_alone_and_with_validation_images() -> None:
    plain = classification_metrics(PREDICTIONS, NAMES, "notumor")
    tumour = detection_metrics(PREDICTIONS, NAMES.index("notumor"), None)
    alone = plain | {"tumour": tumour, "subsets": None, "comparison": None}
    assert measured() == alone
    assert measured(notes=("a caveat",)) == alone | {"notes": [*plain["notes"], "a caveat"]}
    validation = random_predictions(1)
    expected = add_validation(plain, PREDICTIONS, validation, "notumor")
    assert measured(validation=validation) == {
        **expected,
        "tumour": detection_metrics(PREDICTIONS, NAMES.index("notumor"), validation),
        "subsets": None,
        "comparison": None,
    }


def test_duplicates() -> None:
    metrics = measured(groups=GROUPS, duplicates=Duplicates("f00d", ["Training/0.png"]))
    assert metrics["bootstrap"]["unit"] == "duplicate group"
    assert metrics["bootstrap"]["units"] == 60 + 80
    assert metrics["subsets"] == {
        "audit": "f00d",
        "rows": subset_rows(PREDICTIONS, NAMES, "notumor", GROUPS, ["Training/0.png"]),
    }
    every, duplicate, _ = metrics["subsets"]["rows"]
    assert duplicate["n"] == 2
    assert every["accuracy_ci95_grouped"] == metrics["accuracy_ci95_grouped"]
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_duplicates_where_the_training_images_are_unknown() -> None:
    unknown = measured(groups=GROUPS, duplicates=Duplicates("f00d", None))
    assert unknown["subsets"] == {"audit": "f00d", "rows": None}
    known = measured(groups=GROUPS, duplicates=Duplicates("f00d", []))
    assert unknown | {"subsets": known["subsets"]} == known
    assert unknown["accuracy_ci95_grouped"] is not None


def test_a_comparison_draws_the_duplicate_groups_too() -> None:
    others = {
        id: NamedPrediction(NAMES[label], NAMES[(label + (index % 3 == 0)) % 4])
        for index, (id, label) in enumerate(zip(IDS, PREDICTIONS.labels, strict=True))
    }
    baseline = Baseline(Path("predictions.csv"), others, {"arch": "resnet50"})
    alone = measured(baseline=baseline)["comparison"]
    assert alone["with"] == {"arch": "resnet50"}
    assert alone["both_right"] + alone["only_other_right"] == 133
    pairs = {id: i // 2 for i, id in enumerate(IDS)}
    grouped = measured(baseline=baseline, groups=pairs)["comparison"]
    assert grouped["difference_ci95"] != alone["difference_ci95"]
    assert grouped["mcnemar_p"] == alone["mcnemar_p"] == alone["sign_flip_p"]
    assert grouped["sign_flip_p"] != alone["sign_flip_p"]
