"""Paired differences of the methods of a study: over seeds, by seed, and by groups of images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fakd_jax.data.groups import join_groups
from fakd_jax.errors import UserError
from fakd_jax.metrics.comparison import mcnemar_exact, sign_flip_test
from fakd_jax.study.cells import Study
from fakd_jax.study.results import Replicate
from fakd_jax.study.statistics import estimate_row

Gains = Mapping[str, int]
"""By image: under how many conditions only the method is right, minus only its reference."""


def difference_rows(
    study: Study,
    wholes: Mapping[tuple[str, str], Mapping[int, Replicate]],
    metrics: Sequence[str],
) -> list[dict[str, Any]]:
    """`differences` of `study.json`: one row per split and pair of methods, method minus reference.

    Args:
      study: names the pairs.
      wholes: by split and method, then by seed.
      metrics: names of metrics.

    Returns:
      Rows of `split`, `method`, `reference`, `seeds` (those that both have finished), `metrics`
      (estimates over the seeds), `mcnemar` (tests of each seed) and `sign_flip_p` (the exact test
      over all seeds, see :func:`pooled_sign_flip_p`); where the cells were measured under shifts,
      `stress_sign_flip_p` is the same test over all conditions.

    Raises:
      UserError: two cells to be compared were tested on different images or conditions.
    """
    return [
        {
            "split": split,
            "method": method,
            "reference": reference,
            **_differences(
                wholes[split, method],
                wholes[split, reference],
                metrics,
                stressed=study.stress is not None,
            ),
        }
        for split in study.splits
        for method, reference in study.pairs
    ]


def pooled_sign_flip_p(gains: Sequence[Gains], groups: Sequence[Mapping[str, str]]) -> float | None:
    """The exact paired test over all seeds, by groups of images.

    The gains of a group are summed over its images and over the seeds in which they are tested. If
    neither method is better, each sum is as likely to have the other sign; p is the share of the
    assignments of signs that are at least as far from 0 as the sums observed
    (:func:`fakd_jax.metrics.comparison.sign_flip_test`). Images that several seeds share count as
    one unit, not once per seed; images that share a group under any seed are one unit.

    Args:
      gains: of each seed.
      groups: the duplicate group of images of each seed, by id; images without one are alone.

    Returns:
      p; None without a seed.
    """
    if not gains:
        return None
    groupings = [
        {id: known.get(id, (id,)) for id in of_seed}
        for of_seed, known in zip(gains, groups, strict=True)
    ]
    units = join_groups(*groupings)
    sums: Counter[int] = Counter()
    for of_seed in gains:
        for id, gain in of_seed.items():
            sums[units[id]] += gain
    return sign_flip_test(np.array(list(sums.values())))


def _differences(
    these: Mapping[int, Replicate],
    references: Mapping[int, Replicate],
    metrics: Sequence[str],
    *,
    stressed: bool,
) -> dict[str, Any]:
    pairs = {seed: (these[seed], references[seed]) for seed in these if seed in references}
    gains = [_gains(*pair) for pair in pairs.values()]
    groups = [reference.groups for _, reference in pairs.values()]
    row: dict[str, Any] = {
        "seeds": list(pairs),
        "metrics": {
            name: estimate_row(
                [_minus(a.metrics[name], b.metrics[name]) for a, b in pairs.values()], lowest=-1.0
            )
            for name in metrics
        },
        "mcnemar": [
            _row_of_seed(seed, of_seed, known)
            for seed, of_seed, known in zip(pairs, gains, groups, strict=True)
        ],
        "sign_flip_p": pooled_sign_flip_p(gains, groups),
    }
    if stressed:
        under_shifts = [_stress_gains(*pair) for pair in pairs.values()]
        row["stress_sign_flip_p"] = pooled_sign_flip_p(under_shifts, groups)
    return row


def _minus(value: float | None, reference: float | None) -> float | None:
    return None if value is None or reference is None else value - reference


def _row_of_seed(seed: int, gains: Gains, groups: Mapping[str, str]) -> dict[str, Any]:
    only_this, only_reference = (list(gains.values()).count(sign) for sign in (1, -1))
    return {
        "seed": seed,
        "only_this_right": only_this,
        "only_baseline_right": only_reference,
        "p": mcnemar_exact(only_this, only_reference),
        "sign_flip_p": pooled_sign_flip_p([gains], [groups]),
    }


def _gains(this: Replicate, reference: Replicate) -> Gains:
    if this.right.keys() != reference.right.keys():
        raise UserError(
            f"{this.cell} and {reference.cell} were tested on different images and cannot be "
            "compared; choose another --workdir"
        )
    return {id: int(this.right[id]) - int(right) for id, right in reference.right.items()}


def _stress_gains(this: Replicate, reference: Replicate) -> Gains:
    gains = {}
    for id, image in reference.stressed.items():
        if this.stressed[id].conditions != image.conditions:
            raise UserError(
                f"{this.cell} and {reference.cell} were measured under different shifts of {id} "
                "and cannot be compared; repeat their stress tests"
            )
        gains[id] = this.stressed[id].right - image.right
    return gains
