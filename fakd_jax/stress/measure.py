"""The second step of a stress test: metrics of every condition, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from fakd_jax.metrics.calibration import calibration_scores, fit_temperature, scale_logits
from fakd_jax.metrics.predictions import Predictions
from fakd_jax.metrics.resampling import group_numbers, independent_units, proportion
from fakd_jax.metrics.selective import choose_threshold
from fakd_jax.stress.predict import Stressed
from fakd_jax.stress.sums import Sums, sum_conditions


@dataclass(frozen=True)
class Measured:
    """A network under every condition.

    Attributes:
      stressed: its predictions.
      temperature: chosen on validation images, as in an evaluation; None if unknown.
      threshold: of confidence, below which the network abstains; likewise.
      units: of each image in intervals and tests, from 0 on without gaps.
      grouped: whether these are groups of images, not the images themselves.
      sums: of the conditions, in order.
    """

    stressed: Stressed
    temperature: float | None
    threshold: float | None
    units: Int[np.ndarray, " N"]
    grouped: bool
    sums: Sums

    @classmethod
    def of(cls, stressed: Stressed, groups: Mapping[str, int] | None) -> Measured:
        """Chooses temperature and threshold, and sums up the conditions.

        Args:
          stressed: the network's predictions.
          groups: of images that are not independent, by id; None if unknown.
        """
        collected = stressed.collected
        temperature, threshold = _choose(collected.validation)
        ids = collected.predictions.ids
        numbers = None if groups is None else group_numbers(ids, groups)
        units = independent_units(numbers, len(ids))
        names, negative = list(collected.class_names), collected.negative_class
        sums = sum_conditions(
            list(stressed.predictions.values()),
            units,
            classes=len(names),
            negative=None if negative is None else names.index(negative),
            threshold=threshold,
        )
        return cls(stressed, temperature, threshold, units, groups is not None, sums)

    def rows(self) -> list[dict[str, Any]]:
        """`conditions` of `stress.json`.

        Intervals are those of an evaluation: Wilson's for shares of images, and the bootstrap of
        groups where these are known (`…ci95_grouped`). Probabilities are scored as predicted and,
        where a temperature is known, after it (`calibrated`). What is unknown is None.
        """
        rows = []
        for index, (condition, predictions) in enumerate(self.stressed.predictions.items()):
            labels, n = predictions.labels, len(predictions.labels)
            metrics = self.sums.metrics([index])
            metrics["accuracy_ci95_grouped"] = metrics["accuracy_ci95"] if self.grouped else None
            metrics["accuracy_ci95"] = proportion(int(n - predictions.wrong.sum()), n)["ci95"]
            for name in ("missed_tumour", "abstained", "kept"):
                if (share := metrics[name]) is not None:
                    share["ci95_grouped"] = share["ci95"] if self.grouped else None
                    share["ci95"] = proportion(share["count"], share["n"])["ci95"]
            calibrated = None
            if self.temperature is not None:
                scaled = scale_logits(predictions.logits, self.temperature)
                calibrated = calibration_scores(scaled, labels, self.units)
            scores = calibration_scores(predictions.probabilities, labels, self.units)
            rows.append(
                {**condition.record(), "n": n, **metrics, **scores, "calibrated": calibrated}
            )
        return rows


def _choose(validation: Predictions | None) -> tuple[float | None, float | None]:
    """Temperature and threshold."""
    if validation is None:
        return None, None
    choice = choose_threshold(validation.confidence, validation.wrong)
    temperature = fit_temperature(validation.logits, validation.labels).value
    return temperature, None if choice is None else choice.threshold
