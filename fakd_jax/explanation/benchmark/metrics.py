"""The metrics of an explanation: names, groups and directions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Direction = Literal["higher", "lower"]


@dataclass(frozen=True)
class Metric:
    """A metric of one method on one image.

    Attributes:
      key: of its value in a cell.
      name: for readers.
      group: the property that it measures.
      better: whether higher or lower values are better.
      compared: whether methods are compared with the controls by it. A control that ignores the
        network is perfectly stable, so being less stable than a control means nothing.
    """

    key: str
    name: str
    group: str
    better: Direction
    compared: bool

    @property
    def sign(self) -> int:
        """1 if higher is better, else -1: a difference times this is positive where better."""
        return 1 if self.better == "higher" else -1


METRICS = (
    Metric("rank_correlation", "rank correlation", "stability", "higher", compared=False),
    Metric("jaccard", "top overlap", "stability", "higher", compared=False),
    Metric("sign_agreement", "sign agreement", "stability", "higher", compared=False),
    Metric("deletion", "deletion", "faithfulness", "lower", compared=True),
    Metric("insertion", "insertion", "faithfulness", "higher", compared=True),
    Metric("gap", "insertion − deletion", "faithfulness", "higher", compared=True),
    Metric("local_fidelity", "local fidelity", "faithfulness", "higher", compared=True),
    Metric("dependence", "dependence on weights", "sanity", "higher", compared=False),
    Metric(
        "randomised_correlation", "similarity to random network", "sanity", "lower", compared=False
    ),
    Metric("pointing", "pointing game", "localisation", "higher", compared=True),
    Metric("dice", "Dice", "localisation", "higher", compared=True),
    Metric("mass_in_mask", "evidence in lesion", "localisation", "higher", compared=True),
    Metric("background", "evidence outside head", "background", "lower", compared=False),
)
"""All metrics, in the order of reading; those of one group are adjacent."""

BY_KEY: Mapping[str, Metric] = {metric.key: metric for metric in METRICS}


def measured(rows: Iterable[Mapping[str, Any]]) -> list[Metric]:
    """The metrics for which any row of a benchmark has a value, in the order of reading."""
    keys = {key for row in rows for key, value in row["metrics"].items() if value["n"]}
    return [metric for metric in METRICS if metric.key in keys]
