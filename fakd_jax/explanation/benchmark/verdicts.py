"""Verdicts: paired comparisons with the controls, and the outcome of the sanity check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from fakd_jax.explanation.benchmark.estimates import Estimate, estimate_means
from fakd_jax.explanation.benchmark.metrics import METRICS
from fakd_jax.explanation.benchmark.observations import Observations
from fakd_jax.explanation.quality.randomisation import DEPENDENT
from fakd_jax.metrics.resampling import SEED

Verdict = Literal["better", "indistinguishable", "worse"]
SanityOutcome = Literal["passed", "inconclusive", "failed", "irreproducible", "not measured"]


def compare_with_controls(
    observed: Observations,
    methods: Sequence[str],
    controls: Sequence[str],
    units: Int[np.ndarray, " N"],
    *,
    seed: int = SEED,
) -> list[dict[str, Any]]:
    """Compares each method with each control over the images that both have explained.

    There is no correction for multiple comparisons: Holm's, for the usual 168, would need p values
    below 0.0003, out of reach of 2,000 resamples.

    Returns:
      One dict per method, metric and control: `method`, `metric`, `control`, `difference` (mean of
      method − control, negated where lower is better), `ci95`, `n` (pairs) and `verdict`, see
      :func:`verdict_of`.
    """
    differences = {
        (method, metric.key, control): metric.sign
        * (observed.values[method, metric.key] - observed.values[control, metric.key])
        for method in methods
        for metric in METRICS
        if metric.compared
        for control in controls
    }
    estimates = estimate_means(differences, units, seed=seed)
    return [
        {
            "method": method,
            "metric": metric,
            "control": control,
            "difference": estimate.mean,
            "ci95": estimate.ci95 and list(estimate.ci95),
            "n": estimate.n,
            "verdict": verdict_of(estimate),
        }
        for (method, metric, control), estimate in estimates.items()
    ]


def verdict_of(difference: Estimate) -> Verdict | None:
    """Whether the interval excludes 0; None for too few images.

    Where all images agree, there is a verdict without an interval, see
    :attr:`~fakd_jax.explanation.benchmark.estimates.Estimate.ends`.
    """
    if difference.ends is None:
        return None
    low, high = difference.ends
    if low > 0:
        return "better"
    return "worse" if high < 0 else "indistinguishable"


def controls_by_verdict(
    verdicts: Iterable[Mapping[str, Any]], method: str, metric: str
) -> dict[Verdict | None, list[str]]:
    """The controls that one method is compared with by one metric, by verdict."""
    controls: dict[Verdict | None, list[str]] = {}
    for row in verdicts:
        if (row["method"], row["metric"]) == (method, metric):
            controls.setdefault(row["verdict"], []).append(row["control"])
    return controls


def sanity_outcome(row: Mapping[str, Any]) -> SanityOutcome:
    """The outcome of the sanity check of one method.

    Args:
      row: the method's row of `sanity` in `benchmark.json`.
    """
    if row["passes"] is None:
        return "not measured"
    if row["passes"]:
        return "passed"
    if row["dependence"] is None:
        return "irreproducible"
    highest = row["ci95"][1] if row["ci95"] else row["dependence"]
    return "failed" if highest < DEPENDENT else "inconclusive"
