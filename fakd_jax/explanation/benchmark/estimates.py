"""Means over images with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int

from fakd_jax.explanation.quality.randomisation import MIN_UNITS
from fakd_jax.metrics.resampling import SEED, bootstrap

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Estimate:
    """A mean over images.

    Attributes:
      mean: of the defined values; None if there are none.
      ci95: its bootstrap interval; None for fewer than `MIN_UNITS` and where all resamples agree.
      n: the number of defined values.
      units: the number of duplicate groups, or images, that they come from.
    """

    mean: float | None
    ci95: tuple[float, float] | None
    n: int
    units: int

    @property
    def ends(self) -> tuple[float, float] | None:
        """The interval or, where all of at least `MIN_UNITS` agree, the mean twice.

        By the sign test, ten units agree by chance once in 512 times at most.
        """
        if self.ci95 is not None or self.mean is None or self.units < MIN_UNITS:
            return self.ci95
        return self.mean, self.mean

    def record(self) -> dict[str, Any]:
        """`mean`, `ci95` and `n` as JSON-able values."""
        return {"mean": self.mean, "ci95": self.ci95 and list(self.ci95), "n": self.n}


def estimate_means(
    columns: Mapping[Key, Float[np.ndarray, " N"]],
    units: Int[np.ndarray, " N"],
    *,
    seed: int = SEED,
) -> dict[Key, Estimate]:
    """Means of several metrics of the same N images, with intervals from the same resamples.

    Args:
      columns: values by metric, NaN where undefined.
      units: of the bootstrap, see :func:`fakd_jax.metrics.resampling.bootstrap`.
      seed: of the bootstrap.
    """
    if not (columns and len(units)):
        return {key: Estimate(None, None, 0, 0) for key in columns}
    values = np.stack(list(columns.values()), axis=1)
    defined = ~np.isnan(values)
    # Offsets from the minimum: the mean of equal values is then exactly that value.
    minimum = np.min(values, axis=0, where=defined, initial=np.inf)
    offsets = np.where(defined, values - minimum, 0.0)

    def statistics(weights: Float[np.ndarray, "R N"]) -> Mapping[str, Float[np.ndarray, " R"]]:
        means = minimum + _weighted_means(offsets, defined, weights)
        return {str(column): means[:, column] for column in range(len(columns))}

    means = statistics(np.ones((1, len(units))))
    intervals = bootstrap(statistics, units, seed=seed)
    estimates = {}
    for column, key in enumerate(columns):
        n, count = int(defined[:, column].sum()), len(np.unique(units[defined[:, column]]))
        interval = intervals[str(column)] if count >= MIN_UNITS else None
        estimates[key] = Estimate(
            mean=float(means[str(column)][0]) if n else None,
            ci95=(interval[0], interval[1]) if interval else None,
            n=n,
            units=count,
        )
    return estimates


def _weighted_means(
    values: Float[np.ndarray, "N F"],
    defined: Bool[np.ndarray, "N F"],
    weights: Float[np.ndarray, "R N"],
) -> Float[np.ndarray, "R F"]:
    """Means of the defined values (the others are 0); NaN without any."""
    total = weights @ defined.astype(np.float64)
    return np.divide(weights @ values, total, out=np.full_like(total, np.nan), where=total > 0)
