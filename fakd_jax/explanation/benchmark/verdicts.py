"""Is a method better than a control? Paired differences, image by image, and what they tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Int

from fakd_jax.explanation.benchmark.estimates import Estimate, estimate_means
from fakd_jax.explanation.benchmark.metrics import MEASURES
from fakd_jax.explanation.benchmark.observations import Observations
from fakd_jax.metrics.resampling import SEED

Verdict = Literal["above", "below", "not told apart"]


def compare_with_controls(
    observed: Observations,
    methods: Sequence[str],
    controls: Sequence[str],
    units: Int[np.ndarray, " N"],
    *,
    seed: int = SEED,
) -> list[dict[str, Any]]:
    """What each method does better than each control, over the images that both have explained.

    The verdicts are not corrected for their number: Holm's correction of the customary 168 would
    need p values below 0.0003, which 2,000 resamples cannot show.

    Args:
      observed: values of all of them.
      methods: to be judged.
      controls: to be held against.
      units: of the bootstrap, see :func:`fakd_jax.metrics.resampling.bootstrap`.
      seed: of the bootstrap.

    Returns:
      A dict a method, measure and control: `method`, `measure`, `control`, `difference` (the mean
      of method less control, the sign turned where lower is better), `ci95`, `n` (pairs) and
      `verdict`, see :func:`verdict_of`.
    """
    differences = {
        (method, measure.key, control): measure.sign
        * (observed.values[method, measure.key] - observed.values[control, measure.key])
        for method in methods
        for measure in MEASURES
        if measure.compared
        for control in controls
    }
    return [
        {
            "method": method,
            "measure": measure,
            "control": control,
            "difference": estimate.mean,
            "ci95": estimate.ci95 and list(estimate.ci95),
            "n": estimate.n,
            "verdict": verdict_of(estimate),
        }
        for (method, measure, control), estimate in estimate_means(
            differences, units, seed=seed
        ).items()
    ]


def verdict_of(difference: Estimate) -> Verdict | None:
    """What an interval says of 0; None where there are too few images to say anything.

    Where every image shows the same difference there is no interval, but a verdict, see
    :attr:`~fakd_jax.explanation.benchmark.estimates.Estimate.ends`.
    """
    if difference.ends is None:
        return None
    low, high = difference.ends
    if low > 0:
        return "above"
    return "below" if high < 0 else "not told apart"


def controls_by_verdict(
    verdicts: Iterable[Mapping[str, Any]], method: str, measure: str
) -> dict[Verdict | None, list[str]]:
    """The controls that a method is above, below or not told apart from on a measure."""
    controls: dict[Verdict | None, list[str]] = {}
    for row in verdicts:
        if (row["method"], row["measure"]) == (method, measure):
            controls.setdefault(row["verdict"], []).append(row["control"])
    return controls
