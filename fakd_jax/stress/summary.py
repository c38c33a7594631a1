"""The summary of a stress test: means, the worst, and two networks side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fakd_jax.metrics.comparison import sign_flip_test, verdict
from fakd_jax.metrics.resampling import percentile_interval
from fakd_jax.stress.conditions import Condition
from fakd_jax.stress.measure import Measured

MILD = (1, 2, 3)
WORST_AT = 3
SCORES = ("ece", "nll")


def summarise(measured: Measured, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`summary` of `stress.json`.

    Args:
      measured: the network.
      rows: of its conditions.

    Returns:
      `mean`, `mean_1_to_3`, `by_group`, `by_severity` and `by_family`: the metrics of
      :meth:`fakd_jax.stress.sums.Sums.metrics`, and the means of `ece` and `nll` (after the
      temperature, where there is one). `clean`, `worst_family_at_3`, `worst` and `most_missed`: the
      row of one condition. None where no condition counts.
    """
    conditions = list(measured.stressed.predictions)

    def mean_of(members: Iterable[int]) -> dict[str, Any] | None:
        chosen = list(members)
        if not chosen:
            return None
        scores = {
            name: float(np.mean([(rows[i]["calibrated"] or rows[i])[name] for i in chosen]))
            for name in SCORES
        }
        return {"conditions": len(chosen), **measured.sums.metrics(chosen), **scores}

    shifted = range(1, len(conditions))
    at_worst = [i for i in shifted if conditions[i].severity == WORST_AT]
    missed = [i for i in shifted if rows[i]["missed_tumour"] is not None]
    return {
        "clean": dict(rows[0]),
        "mean": mean_of(shifted),
        "mean_1_to_3": mean_of(i for i in shifted if conditions[i].severity in MILD),
        "worst_family_at_3": _least(rows, at_worst, lambda row: row["accuracy"]),
        "worst": _least(rows, shifted, lambda row: row["accuracy"]),
        "most_missed": _least(rows, missed, lambda row: -row["missed_tumour"]["count"]),
        **{
            f"by_{part}": {
                name: mean_of(members) for name, members in partition(conditions, part).items()
            }
            for part in ("group", "severity", "family")
        },
    }


def partition(conditions: Sequence[Condition], part: str) -> dict[Any, list[int]]:
    """The shifted conditions by their `group`, `severity` or `family`, in order."""
    parts: dict[Any, list[int]] = {}
    for index, condition in enumerate(conditions[1:], start=1):
        parts.setdefault(getattr(condition, part), []).append(index)
    return parts


def compare(measured: Measured, other: Measured) -> dict[str, Any]:
    """`comparison` of `stress.json`: two networks on the same images under the same conditions.

    Every difference is this network's accuracy minus the other's, with the interval of the paired
    bootstrap and the permutation test of an evaluation's comparison: the images of a unit change
    sides together, with all conditions.

    Returns:
      `conditions` (one per row), `mean`, `mean_1_to_3`, `by_group` and `by_family`: `difference`,
      `difference_ci95`, `sign_flip_p`, `verdict`, `only_this_right` and `only_other_right`; and
      `mce` and `relative_mce` (Hendrycks & Dietterich 2019), with intervals: the mean over families
      of the errors of all severities over the other network's, as they are and in excess of those
      on images as they are. A family in which the other has no (excess) error is left out; the
      number counted is `families`.
    """
    conditions = list(measured.stressed.predictions)
    gains = np.stack(
        [
            _gains(measured, this.wrong, that.wrong)
            for this, that in zip(
                measured.stressed.predictions.values(),
                other.stressed.predictions.values(),
                strict=True,
            )
        ]
    )  # [K, 2, U]: images that only this network, or only the other, classifies correctly

    def difference(members: Iterable[int]) -> dict[str, Any] | None:
        chosen = list(members)
        if not chosen:
            return None
        values = measured.sums.right(chosen) - other.sums.right(chosen)
        only_this, only_other = gains[chosen].sum(axis=0)
        interval, p = percentile_interval(values[1:]), sign_flip_test(only_this - only_other)
        return {
            "difference": float(values[0]),
            "difference_ci95": interval,
            "sign_flip_p": p,
            "verdict": verdict(p, interval),
            "only_this_right": int(only_this.sum()),
            "only_other_right": int(only_other.sum()),
        }

    shifted = range(1, len(conditions))
    by_family = partition(conditions, "family")
    return {
        "conditions": [difference([index]) for index in range(len(conditions))],
        "mean": difference(shifted),
        "mean_1_to_3": difference(i for i in shifted if conditions[i].severity in MILD),
        **{
            f"by_{part}": {
                name: difference(members) for name, members in partition(conditions, part).items()
            }
            for part in ("group", "family")
        },
        "mce": _mce(measured, other, by_family, relative=False),
        "relative_mce": _mce(measured, other, by_family, relative=True),
    }


def _gains(measured: Measured, wrong: np.ndarray, other_wrong: np.ndarray) -> np.ndarray:
    units, count = measured.units, int(measured.units.max()) + 1
    return np.stack(
        [
            np.bincount(units[chosen], minlength=count)
            for chosen in (~wrong & other_wrong, wrong & ~other_wrong)
        ]
    )


def _mce(
    measured: Measured,
    other: Measured,
    families: Mapping[str, Sequence[int]],
    *,
    relative: bool,
) -> dict[str, Any]:
    """The mean corruption error and its interval; None where no family counts."""

    def errors(network: Measured, members: Sequence[int]) -> np.ndarray:
        error = 1 - network.sums.right(members)
        return error - (1 - network.sums.right([0])) if relative else error

    ratios = []
    for members in families.values():
        ours, theirs = errors(measured, members), errors(other, members)
        if theirs[0] > 0:
            undefined = np.full_like(ours, np.nan)
            ratios.append(np.divide(ours, theirs, out=undefined, where=theirs > 0))
    if not ratios:
        return {"value": None, "ci95": None, "families": 0}
    mean = np.mean(ratios, axis=0)
    return {
        "value": float(mean[0]),
        "ci95": percentile_interval(mean[1:]),
        "families": len(ratios),
    }


def _least(
    rows: Sequence[Mapping[str, Any]],
    members: Sequence[int],
    by: Callable[[Mapping[str, Any]], float],
) -> dict[str, Any] | None:
    """The condition with the lowest value, the first of equals; None without conditions."""
    if not members:
        return None
    return dict(rows[min(members, key=lambda index: by(rows[index]))])
