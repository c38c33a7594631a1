"""Families of two lines each, and networks that exist only as their predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from fakd_jax.evaluation.collect import Collected
from fakd_jax.metrics.predictions import Predictions
from fakd_jax.shifts.families import Family
from fakd_jax.stress.conditions import Condition, make_conditions
from fakd_jax.stress.measure import Measured
from fakd_jax.stress.predict import Stressed
from tests.evaluation.predictions import predictions_of

NAMES = ("glioma", "notumor", "pituitary")


def _family(name: str, group: str, severities: tuple[float, ...], shift: Any) -> Family:
    known: dict[str, Any] = {"description": f"images are {name}", "parameter": "amount"}
    return Family(
        name=name,
        group=group,  # type: ignore[arg-type]
        neutral=0.0,
        severities=severities,  # type: ignore[arg-type]
        source="tests",
        shift=shift,
        **known,
    )


def _darker(keys: jax.Array, images: jax.Array, amounts: jax.Array) -> jax.Array:
    return images * (1 - amounts[:, None, None, None])


def _noisy(keys: jax.Array, images: jax.Array, amounts: jax.Array) -> jax.Array:
    noise = jax.vmap(lambda key: jax.random.normal(key, images.shape[1:]))(keys)
    return images + amounts[:, None, None, None] * noise


FAMILIES = {
    "dark": _family("dark", "intensity", (0.1, 0.2, 0.3, 0.4, 0.5), _darker),
    "noise": _family("noise", "artefacts", (0.02, 0.04, 0.06, 0.08, 0.1), _noisy),
}


def conditions(severities: Sequence[int] = (1, 3)) -> list[Condition]:
    return make_conditions(FAMILIES, severities)


def measured(
    classes: Sequence[Sequence[int]],
    labels: Sequence[int],
    *,
    groups: Mapping[str, int] | None = None,
    confidence: float = 0.9,
    validation: Predictions | None = None,
) -> Measured:
    """A network that predicts these classes under `conditions()`, all with one confidence."""
    ids = tuple(f"Testing/{index}.png" for index in range(len(labels)))
    logit = float(np.log(confidence / ((1 - confidence) / 2)))
    predictions = {
        condition: predictions_of(logit * np.eye(3)[list(predicted)], np.array(labels), ids)
        for condition, predicted in zip(conditions(), classes, strict=True)
    }
    clean = next(iter(predictions.values()))
    collected = Collected(clean, NAMES, "notumor", validation, groups)
    return Measured.of(Stressed(collected, predictions), groups)
