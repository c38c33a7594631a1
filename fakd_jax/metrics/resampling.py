"""Intervals: Wilson's of a proportion, and the percentile bootstrap of any other figure."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from jaxtyping import Float, Int

CONFIDENCE = 0.95
RESAMPLES, SEED = 2_000, 0
MIN_DEFINED = 0.9
WEIGHTS_AT_ONCE = 4_000_000  # 32 MB, whatever the size of the data

# What is bootstrapped: named figures of weighted images, one value a row of weights. A weight is
# how often an image was drawn; rows of ones give the figures of the images themselves.
Statistics = Callable[[Float[np.ndarray, "R N"]], Mapping[str, Float[np.ndarray, " R"]]]


def wilson_interval(successes: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a proportion, without continuity correction.

    Holds its level near 0 and 1, where the usual p ± z·√(p(1-p)/n) collapses to nothing
    (Wilson 1927; Brown, Cai & DasGupta 2001).

    Args:
      successes: in `[0, n]`.
      n: above 0.
      confidence: in (0, 1).

    Returns:
      The lower and the upper end, within [0, 1].

    Raises:
      ValueError: an argument out of range.

    >>> [round(end, 4) for end in wilson_interval(1304, 1311)]
    [0.989, 0.9974]
    """
    if not (0 <= successes <= n and n > 0 and 0 < confidence < 1):
        raise ValueError(f"no interval of {successes} successes in {n} at {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / n
    centre = share + z**2 / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    # At the ends the closed form is exactly 0 or 1, but for rounding.
    low = 0.0 if successes == 0 else (centre - half) / scale
    high = 1.0 if successes == n else (centre + half) / scale
    return low, high


def counted_share(count: int, n: int) -> dict[str, Any]:
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


def bootstrap(
    statistics: Statistics,
    units: Int[np.ndarray, " N"],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    confidence: float = CONFIDENCE,
) -> dict[str, list[float] | None]:
    """Percentile intervals of figures, over resamples of whole units (Efron & Tibshirani 1993).

    A resample draws as many units as there are, with replacement; an image is in it as often as
    its unit. Copies of one slice are one unit: drawn one by one, they would count as so many
    findings, and the interval would be too narrow (the cluster bootstrap: Davison & Hinkley 1997,
    section 3.8).

    Two cases have no interval. A figure is NaN in a resample that lacks what it needs (a class
    without images has neither recall nor AUROC); such resamples are left out, and where they are
    more than one in ten, as with a class of one or two units, so is the interval. And where all
    resamples agree, as in a sample without an error, the spread of 0 says how the method works,
    not how sure the figure is.

    Args:
      statistics: what to compute; all its figures share the resamples.
      units: the unit of each image, any integers; `arange(N)` makes each image its own.
      resamples: their number.
      seed: of the draws; the same seed gives the same bits.
      confidence: in (0, 1).

    Returns:
      For each figure [low, high], or None where there is no interval.

    Raises:
      ValueError: no images.
    """
    if not len(units):
        raise ValueError("no images to draw from")
    unit_of = np.unique(units, return_inverse=True)[1]
    count = int(unit_of.max()) + 1
    random = np.random.default_rng(seed)
    drawn = defaultdict(list)
    at_once = max(1, WEIGHTS_AT_ONCE // len(units))
    for start in range(0, resamples, at_once):
        times = _times_drawn(random, min(at_once, resamples - start), count)
        for name, values in statistics(times[:, unit_of]).items():
            drawn[name].append(values)
    return {
        name: _percentile_interval(np.concatenate(parts), confidence)
        for name, parts in drawn.items()
    }


def point_estimates(statistics: Statistics, n: int) -> dict[str, float | None]:
    """The figures of the n images themselves; None for what is undefined."""
    return {
        name: None if np.isnan(value[0]) else float(value[0])
        for name, value in statistics(np.ones((1, n))).items()
    }


def _times_drawn(random: np.random.Generator, rows: int, count: int) -> Float[np.ndarray, "R U"]:
    """How often each of `count` units is among `count` draws, for each of `rows` resamples."""
    draws = random.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
    # As floats: products with them are the statistics' work, and fast for floats alone.
    times = np.bincount(draws.ravel(), minlength=rows * count).astype(np.float64)
    return times.reshape(rows, count)


def _percentile_interval(values: Float[np.ndarray, " R"], confidence: float) -> list[float] | None:
    defined = values[~np.isnan(values)]
    if len(defined) < MIN_DEFINED * len(values) or np.ptp(defined) == 0:
        return None
    tail = 50 * (1 - confidence)
    return np.percentile(defined, [tail, 100 - tail]).tolist()
