"""Intervals: Wilson's for a proportion, and the percentile bootstrap of whole units."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

CONFIDENCE = 0.95
RESAMPLES, SEED = 2_000, 0
MIN_DEFINED = 0.9
WEIGHTS_AT_ONCE = 4_000_000  # 32 MB, whatever the size of the data
MOST_UNITS = 10_000
ROUNDING = 1e-12  # a spread below it, relative to the values, is none

# What is bootstrapped: named metrics of weighted images, one value per row of weights. A weight is
# how often an image was drawn.
Statistics = Callable[[Float[np.ndarray, "R N"]], Mapping[str, Float[np.ndarray, " R"]]]


def wilson_interval(successes: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a proportion, without continuity correction (Wilson 1927).

    It keeps its coverage near 0 and 1 (Brown, Cai & DasGupta 2001).

    Raises:
      ValueError: not 0 <= successes <= n, n < 1, or a confidence outside (0, 1).

    >>> [round(end, 4) for end in wilson_interval(1304, 1311)]
    [0.989, 0.9974]
    """
    from scipy.stats import binomtest

    if not (0 <= successes <= n and n >= 1 and 0 < confidence < 1):  # SciPy 1.18 returns NaN
        raise ValueError(f"no interval for {successes} of {n} at confidence {confidence}")
    interval = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def proportion(count: int, n: int) -> dict[str, Any]:
    """`count`, `n`, `rate` = count / n and its Wilson interval `ci95`; None for both if n is 0."""
    return {
        "count": count,
        "n": n,
        "rate": count / n if n else None,
        "ci95": list(wilson_interval(count, n)) if n else None,
    }


def group_numbers(ids: Sequence[str], groups: Mapping[str, int]) -> Int[np.ndarray, " N"]:
    """The duplicate group of each image; an id that `groups` lacks is a group of its own."""
    free = max(groups.values(), default=-1) + 1
    return np.array([groups.get(id, free + i) for i, id in enumerate(ids)], np.int64)


def number_units(units: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
    """The same units, numbered from 0 on without gaps."""
    return np.unique(units, return_inverse=True)[1]


def independent_units(groups: Int[np.ndarray, " N"] | None, n: int) -> Int[np.ndarray, " N"]:
    """The independent units of n images, from 0 on: their groups, or the images themselves."""
    return np.arange(n) if groups is None else number_units(groups)


def sums_by_unit(
    units: Int[np.ndarray, " N"],
    columns: Int[np.ndarray, " N"],
    num_columns: int,
    values: Float[np.ndarray, " N"] | None = None,
) -> Float[np.ndarray, "U F"]:
    """The sums that a metric is computed from, for each unit: what the bootstrap resamples.

    More than `MOST_UNITS` are first joined at random into as many of about equal size, which
    are independent too (the random group method: Wolter 2007, chapter 2): time and memory no
    longer grow, and a standard error is known to 0.7 % still.

    Args:
      units: of each image, from 0 on without gaps.
      columns: the column that each image is added to, in `[0, num_columns)`.
      num_columns: F.
      values: what it adds; None for 1.
    """
    count = int(units.max()) + 1
    if count > MOST_UNITS:
        joined = np.random.default_rng(SEED).permutation(count) % MOST_UNITS
        units, count = joined[units], MOST_UNITS
    cells = units * num_columns + columns
    return np.bincount(cells, values, count * num_columns).reshape(count, -1).astype(np.float64)


def resampled_sums(
    sums: Float[np.ndarray, "U F"], *, resamples: int = RESAMPLES, seed: int = SEED
) -> Float[np.ndarray, "R F"]:
    """The sums over resamples of as many units as there are, drawn with replacement."""
    random = np.random.default_rng(seed)
    at_once = max(1, WEIGHTS_AT_ONCE // len(sums))
    parts = [
        _times_drawn(random, min(at_once, resamples - start), len(sums)) @ sums
        for start in range(0, resamples, at_once)
    ]
    return np.concatenate(parts)


def bootstrap(
    statistics: Statistics,
    units: Int[np.ndarray, " N"],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    confidence: float = CONFIDENCE,
) -> dict[str, list[float] | None]:
    """Percentile intervals over resamples of whole units (Efron & Tibshirani 1993).

    A resample draws as many units as there are, with replacement, and with each all of its
    images. Duplicates of one slice are one unit: drawn one by one they would make the interval
    too narrow (the cluster bootstrap: Davison & Hinkley 1997, section 3.8).

    Resamples in which a metric is NaN, for lack of a class, are left out; if they are more than one
    in ten, there is no interval. Nor is there one where all resamples agree: the spread of 0, as in
    a sample without errors, is not certainty.

    Args:
      statistics: the metrics; all share the resamples.
      units: the unit of each image, any integers; `arange(N)` makes each image its own.
      resamples: their number.
      seed: the same seed gives the same bits.
      confidence: in (0, 1).

    Returns:
      For each metric [low, high], or None where there is no interval.
    """
    if not len(units):
        raise ValueError("no images to resample")
    unit_of = number_units(units)
    count = int(np.max(unit_of)) + 1
    random = np.random.default_rng(seed)
    drawn = defaultdict(list)
    at_once = max(1, WEIGHTS_AT_ONCE // len(units))
    for start in range(0, resamples, at_once):
        times = _times_drawn(random, min(at_once, resamples - start), count)
        for name, values in statistics(times[:, unit_of]).items():
            drawn[name].append(values)
    return {
        name: percentile_interval(np.concatenate(parts), confidence)
        for name, parts in drawn.items()
    }


def percentile_interval(
    values: Float[np.ndarray, " R"], confidence: float = CONFIDENCE
) -> list[float] | None:
    """The interval of a metric from its values in resamples; None as :func:`bootstrap` says."""
    defined = values[~np.isnan(values)]
    if len(defined) < MIN_DEFINED * len(values) or np.ptp(defined) == 0:
        return None
    tail = 50 * (1 - confidence)
    return np.percentile(defined, [tail, 100 - tail]).tolist()


def _times_drawn(random: np.random.Generator, rows: int, count: int) -> Float[np.ndarray, "R U"]:
    """How often each of `count` units is among `count` draws, for each of `rows` resamples."""
    draws = random.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
    # As floats: the statistics multiply them, which is fast for floats alone.
    times = np.bincount(draws.ravel(), minlength=rows * count).astype(np.float64)
    return times.reshape(rows, count)
