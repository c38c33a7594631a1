"""What is measured of an explanation: names for readers and directions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Direction = Literal["higher", "lower"]


@dataclass(frozen=True)
class Measure:
    """A figure of merit of one method on one image.

    Attributes:
      key: under which cells hold its value.
      name: for readers.
      group: a key of :data:`GROUPS`.
      better: whether higher or lower values are better.
      compared: whether a method is held against the controls. A control that never looks at the
        network is perfectly stable, so that being more stable than it says nothing.
    """

    key: str
    name: str
    group: str
    better: Direction
    compared: bool

    @property
    def sign(self) -> int:
        """1 where higher is better, else -1: times a difference, positive is better."""
        return 1 if self.better == "higher" else -1


GROUPS: Mapping[str, str] = {
    "stability": "Stability: does another seed tell the same?",
    "faithfulness": "Faithfulness: does the network use what is shown?",
    "sanity": "Sanity: does the explanation depend on what the network has learnt?",
    "localisation": "Localisation: is it the lesion that is shown?",
    "background": "Background: does evidence stay within the head?",
}
"""The groups of measures, by the question that each asks, in the order of reading."""

MEASURES = (
    Measure("rank_correlation", "rank correlation", "stability", "higher", compared=False),
    Measure("jaccard", "top overlap", "stability", "higher", compared=False),
    Measure("sign_agreement", "sign agreement", "stability", "higher", compared=False),
    Measure("deletion", "deletion", "faithfulness", "lower", compared=True),
    Measure("insertion", "insertion", "faithfulness", "higher", compared=True),
    Measure("gap", "insertion − deletion", "faithfulness", "higher", compared=True),
    Measure("local_fidelity", "local fidelity", "faithfulness", "higher", compared=True),
    Measure("dependence", "dependence on weights", "sanity", "higher", compared=False),
    Measure(
        "randomised_correlation", "likeness to random network", "sanity", "lower", compared=False
    ),
    Measure("pointing", "pointing game", "localisation", "higher", compared=True),
    Measure("dice", "Dice", "localisation", "higher", compared=True),
    Measure("mass_in_mask", "evidence in lesion", "localisation", "higher", compared=True),
    Measure("background", "evidence outside head", "background", "lower", compared=False),
)
"""All measures, in the order of reading."""

BY_KEY: Mapping[str, Measure] = {measure.key: measure for measure in MEASURES}


def measured(rows: Iterable[Mapping[str, Any]]) -> list[Measure]:
    """The measures of which any row of a benchmark has a value, in the order of reading."""
    keys = {key for row in rows for key, figure in row["measures"].items() if figure["n"]}
    return [measure for measure in MEASURES if measure.key in keys]
