"""The images of a benchmark as cases, those to be looked at first in front."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fakd_jax.explanation.benchmark.agreement import agreements, mean_agreement


@dataclass(frozen=True)
class Case:
    """One image and what every method says of it.

    Attributes:
      cells: by method, in the order of the benchmark; at least one.
      controls: the methods among them that look at no network, and so are no witnesses.
    """

    cells: Mapping[str, Mapping[str, Any]]
    controls: Collection[str]

    @property
    def facts(self) -> Mapping[str, Any]:
        """A cell, for what all of them share: id, classes, prediction, probabilities."""
        return next(iter(self.cells.values()))

    @property
    def right(self) -> bool | None:
        """Whether the prediction is; None where nobody knows the truth."""
        truth = self.facts["true_class"]
        return None if truth is None else bool(truth == self.facts["prediction"])

    @cached_property
    def pairs(self) -> Mapping[tuple[str, str], float | None]:
        """How far each two methods agree, controls left out."""
        return agreements(
            {
                method: cell["weights"]
                for method, cell in self.cells.items()
                if method not in self.controls
            }
        )

    @property
    def agreement(self) -> float | None:
        """The mean of `pairs`; None where no two methods can be compared."""
        return mean_agreement(self.pairs)


def cases_of(
    cells: Iterable[Mapping[str, Any]], methods: Sequence[str], controls: Collection[str]
) -> list[Case]:
    """Gathers cells by image, in the order of their first cells; cells of other methods stay out.

    Args:
      cells: one an image and method.
      methods: in the order in which a case shall have them.
      controls: those of them that look at no network.

    Raises:
      ValueError: two cells of one image and method.
    """
    by_image: dict[str, dict[str, Mapping[str, Any]]] = {}
    for cell in cells:
        of_image = by_image.setdefault(cell["id"], {})
        if cell["method"] in of_image:
            raise ValueError(f"two cells of {cell['method']} for {cell['id']}")
        of_image[cell["method"]] = cell
    ordered = (
        {method: of_image[method] for method in methods if method in of_image}
        for of_image in by_image.values()
    )
    return [Case(of_image, controls) for of_image in ordered if of_image]


def worst_first(cases: Iterable[Case]) -> list[Case]:
    """The cases that need a human's eye most, in front.

    Wrong predictions come before those of unknown truth, and these before right ones. Among
    each, the less the methods agree (mean rank correlation, controls left out) the earlier: what
    they contradict each other on, they cannot all explain. Where no two can be compared, nothing
    speaks for the explanation, so such cases lead. Equals stand in the order of their ids.
    """

    def place(case: Case) -> tuple[int, float, str]:
        agreement = case.agreement
        return (
            {False: 0, None: 1, True: 2}[case.right],
            float("-inf") if agreement is None else agreement,
            case.facts["id"],
        )

    return sorted(cases, key=place)
