"""Cells grouped by image, the least trustworthy images first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from fakd_jax.explanation.quality.ranks import degenerate, rank_correlations
from fakd_jax.explanation.quality.stability import without_negligible
from fakd_jax.explanation.result import NEGLIGIBLE

Agreements = Mapping[tuple[str, str], float | None]


def is_degenerate(weights: Sequence[float]) -> bool:
    """Whether all weights are negligible, so that neither signs nor ranks mean anything.

    >>> is_degenerate([0.0, -1e-9]), is_degenerate([0.0, 0.02])
    (True, False)
    """
    return bool(np.all(np.abs(weights) < NEGLIGIBLE))


def agreements(weights: Mapping[str, Sequence[float]]) -> Agreements:
    """Spearman's rank correlation of each pair of methods.

    Args:
      weights: of the same superpixels, by method.

    Returns:
      Values in [-1, 1] by pair; None where a method ranks nothing.
    """
    rows = without_negligible(np.array([*weights.values()], np.float64))
    correlations, undefined = rank_correlations(rows, rows), degenerate(rows)
    return {
        (one, other): None if undefined[i] or undefined[j] else float(correlations[i, j])
        for (i, one), (j, other) in combinations(enumerate(weights), 2)
    }


def mean_agreement(pairs: Agreements, method: str | None = None) -> float | None:
    """The mean of the defined values, of all pairs or those of one method; None without any."""
    values = [
        value
        for pair, value in pairs.items()
        if value is not None and (method is None or method in pair)
    ]
    return float(np.mean(values)) if values else None


@dataclass(frozen=True)
class Case:
    """One image and all explanations of it.

    Attributes:
      cells: by method, in the order of the benchmark; at least one.
      controls: the methods among them that ignore the network.
    """

    cells: Mapping[str, Mapping[str, Any]]
    controls: Collection[str]

    @property
    def facts(self) -> Mapping[str, Any]:
        """Any cell, for what all share: id, classes, prediction, probabilities."""
        return next(iter(self.cells.values()))

    @property
    def correct(self) -> bool | None:
        """Whether the prediction is correct; None where the true class is unknown."""
        truth = self.facts["true_class"]
        return None if truth is None else bool(truth == self.facts["prediction"])

    @cached_property
    def pairs(self) -> Agreements:
        """The agreement of each pair of methods without the controls."""
        cells = self.cells.items()
        return agreements(
            {name: cell["weights"] for name, cell in cells if name not in self.controls}
        )

    @property
    def compared(self) -> list[tuple[tuple[str, str], float]]:
        """The pairs that can be compared, in ascending order of agreement."""
        defined = ((pair, value) for pair, value in self.pairs.items() if value is not None)
        return sorted(defined, key=lambda item: item[1])


def cases_of(
    cells: Iterable[Mapping[str, Any]], methods: Sequence[str], controls: Collection[str]
) -> list[Case]:
    """Groups cells by image, ignoring those of other methods.

    Args:
      cells: one per image and method.
      methods: in the order that each case shall have, controls included.
      controls: those of them that ignore the network.
    """
    images: dict[str, dict[str, Mapping[str, Any]]] = {}
    for cell in cells:
        images.setdefault(cell["id"], {})[cell["method"]] = cell
    cases = ({name: image[name] for name in methods if name in image} for image in images.values())
    return [Case(case, controls) for case in cases if case]


def worst_first(cases: Iterable[Case]) -> list[Case]:
    """Wrong predictions, then those of unknown truth, then correct ones.

    Within each, by ascending mean agreement of the methods; images on which no two methods can be
    compared come first, since nothing supports their explanations. Ties are sorted by id.
    """

    def rank(case: Case) -> tuple[int, float, str]:
        agreement = mean_agreement(case.pairs)
        return (
            {False: 0, None: 1, True: 2}[case.correct],
            float("-inf") if agreement is None else agreement,
            case.facts["id"],
        )

    return sorted(cases, key=rank)
