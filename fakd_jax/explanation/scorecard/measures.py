"""What is measured of an explanation: names for readers, directions, ranges and meanings."""

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
      low: the least value possible; None where there is none.
      high: the largest.
      compared: whether a method is held against the controls. A control that never looks at the
        network is perfectly stable, so that being more stable than it says nothing.
      meaning: one sentence.
    """

    key: str
    name: str
    group: str
    better: Direction
    low: float | None
    high: float | None
    compared: bool
    meaning: str

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
    Measure(
        "rank_correlation",
        "rank correlation",
        "stability",
        "higher",
        -1,
        1,
        False,
        "How alike two seeds rank the superpixels: the mean Spearman correlation of their weights.",
    ),
    Measure(
        "jaccard",
        "top overlap",
        "stability",
        "higher",
        0,
        1,
        False,
        "How much of their top superpixels two seeds share: the mean Jaccard index.",
    ),
    Measure(
        "sign_agreement",
        "sign agreement",
        "stability",
        "higher",
        0,
        1,
        False,
        "How often two seeds agree whether a superpixel speaks for the class or against it.",
    ),
    Measure(
        "deletion",
        "deletion",
        "faithfulness",
        "lower",
        0,
        1,
        True,
        "The mean probability of the class while pixels are hidden, the most important first.",
    ),
    Measure(
        "insertion",
        "insertion",
        "faithfulness",
        "higher",
        0,
        1,
        True,
        "The mean probability of the class while pixels appear, the most important first.",
    ),
    Measure(
        "gap",
        "insertion − deletion",
        "faithfulness",
        "higher",
        -1,
        1,
        True,
        "Insertion less deletion: how much the order of importance matters to the network.",
    ),
    Measure(
        "local_fidelity",
        "local fidelity",
        "faithfulness",
        "higher",
        0,
        1,
        True,
        "R² with which the weights, summed, predict the probability when superpixels are hidden.",
    ),
    Measure(
        "dependence",
        "dependence on weights",
        "sanity",
        "higher",
        None,
        1,
        False,
        "How much of what seeds agree on is gone when the network's weights are drawn anew: 1 if "
        "nothing of it is left, 0 if it stays.",
    ),
    Measure(
        "randomised_correlation",
        "likeness to random network",
        "sanity",
        "lower",
        -1,
        1,
        False,
        "The rank correlation with the explanation of a network whose weights are drawn anew.",
    ),
    Measure(
        "pointing",
        "pointing game",
        "localisation",
        "higher",
        0,
        1,
        True,
        "Whether the strongest evidence lies in the lesion.",
    ),
    Measure(
        "dice",
        "Dice",
        "localisation",
        "higher",
        0,
        1,
        True,
        "How well the strongest evidence, as large an area as the lesion, covers the lesion.",
    ),
    Measure(
        "mass_in_mask",
        "evidence in lesion",
        "localisation",
        "higher",
        0,
        1,
        True,
        "The share of the evidence for the class that lies in the lesion.",
    ),
    Measure(
        "background",
        "evidence outside head",
        "background",
        "lower",
        0,
        1,
        False,
        "The share of the evidence that lies outside the head, where nothing can be shown.",
    ),
)
"""All measures, in the order of reading."""

BY_KEY: Mapping[str, Measure] = {measure.key: measure for measure in MEASURES}


def measured(rows: Iterable[Mapping[str, Any]]) -> list[Measure]:
    """The measures of which any row of a scorecard has a value, in the order of reading."""
    keys = {key for row in rows for key, figure in row["measures"].items() if figure["n"]}
    return [measure for measure in MEASURES if measure.key in keys]
