"""Means over images, as sure as a bootstrap of the images says they are."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int

from fakd_jax.metrics.resampling import SEED, bootstrap

# Of 5 images whose true mean is 0, percentile intervals miss it in one sample of six; of 10, in
# one of ten; of 30, in one of fourteen; of ever more, in one of twenty, as they should.
MIN_UNITS = 10
"""Images, or groups of copies, from which a mean gets an interval."""

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Estimate:
    """A mean over images.

    Attributes:
      mean: of the defined values; None if there are none.
      ci95: its bootstrap interval; None of less than :data:`MIN_UNITS` images or groups of
        copies, and where all resamples agree: no spread is no measure of how sure the mean is.
      n: defined values.
      units: the images or groups of copies that they come from.
    """

    mean: float | None
    ci95: tuple[float, float] | None
    n: int
    units: int

    @property
    def ends(self) -> tuple[float, float] | None:
        """What a verdict rests on: the interval or, where all resamples agree, their one mean.

        For that all of ten images or more show the very same does tell something: were either
        side of a threshold as likely, all would lie on one side once in 512 times at most (the
        sign test). None of fewer images.
        """
        if self.ci95 is not None or self.mean is None or self.units < MIN_UNITS:
            return self.ci95
        return self.mean, self.mean


def estimate_means(
    columns: Mapping[Key, Float[np.ndarray, " N"]],
    units: Int[np.ndarray, " N"],
    *,
    seed: int = SEED,
) -> dict[Key, Estimate]:
    """Means of several figures of the same images, with intervals from the same resamples.

    Args:
      columns: by figure its value of each image, NaN where undefined.
      units: of the bootstrap, see :func:`fakd_jax.metrics.resampling.bootstrap`.
      seed: of the bootstrap.

    Returns:
      By figure its estimate, over the images for which it is defined.
    """
    if not (columns and len(units)):
        return {key: Estimate(None, None, 0, 0) for key in columns}
    values = np.stack(list(columns.values()), axis=1)
    defined = ~np.isnan(values)
    # Measured from one of them, equal values have means that are equal to the last bit.
    start = np.min(values, axis=0, where=defined, initial=np.inf)
    above = np.where(defined, values - start, 0.0)

    def statistics(weights: Float[np.ndarray, "R N"]) -> Mapping[str, Float[np.ndarray, " R"]]:
        means = start + _weighted_means(above, defined, weights)
        return {str(column): means[:, column] for column in range(len(columns))}

    means = (start + _weighted_means(above, defined, np.ones((1, len(units)))))[0]
    drawn = bootstrap(statistics, units, seed=seed)
    estimates = {}
    for column, key in enumerate(columns):
        n, kinds = int(defined[:, column].sum()), len(np.unique(units[defined[:, column]]))
        interval = drawn[str(column)] if kinds >= MIN_UNITS else None
        estimates[key] = Estimate(
            mean=float(means[column]) if n else None,
            ci95=(interval[0], interval[1]) if interval else None,
            n=n,
            units=kinds,
        )
    return estimates


def _weighted_means(
    values: Float[np.ndarray, "N F"],
    defined: Bool[np.ndarray, "N F"],
    weights: Float[np.ndarray, "R N"],
) -> Float[np.ndarray, "R F"]:
    """Means over what is defined (elsewhere values are 0); NaN where nothing that is was drawn."""
    total = weights @ defined.astype(np.float64)
    return np.divide(weights @ values, total, out=np.full_like(total, np.nan), where=total > 0)
