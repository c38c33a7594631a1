"""The gallery's section on how to read it: colours and measures in words."""

from __future__ import annotations

import numpy as np

from fakd_jax.explanation.quality.stability import STABLE
from fakd_jax.explanation.report.attribution import overlay
from fakd_jax.reporting.markup import Inline, Section, definitions, figure, paragraph

_BAR_HEIGHT, _BAR_WIDTH = 20, 360
_GREY = 128

_LESION = (
    "Known here, and outlined in white. Pointing: the share of the strongest spot, a pixel or a "
    "superpixel, that lies within it. Dice: how well the strongest area covers it, 1 exactly, 0 "
    "not at all. Last, the share of the evidence that it holds."
)


def legend_section(localised: bool) -> Section:
    """Says what colours and measures mean; of lesions only where one is known.

    Args:
      localised: whether any explanation was held against a lesion.
    """
    terms: list[tuple[str, Inline]] = [
        (
            "Stable",
            "Another seed gives much the same. Jaccard: the share of the strongest superpixels "
            f"that two runs have in common. Below {STABLE} an explanation is called "
            "UNSTABLE: what it shows is partly chance.",
        ),
        (
            "Deletion, insertion",
            "What is said to matter most is hidden bit by bit, or shown bit by bit with all else "
            "hidden. If it does matter, the class's probability soon falls, or soon rises. Gap: "
            "the area under insertion less that under deletion, the higher the better.",
        ),
        (
            "R²",
            "How well what is said of the shown superpixels, added up, foretells the probability "
            "when the others are hidden: 1 exactly, 0 not at all. Added up are their weights or, "
            "where that foretells more, their weights times their areas.",
        ),
        (
            "Dependence",
            "How much the picture changes when the network's weights are drawn anew. One that "
            "stays tells of the image, not of the network.",
        ),
        (
            "Agreement",
            "The mean rank correlation of a method's superpixel weights with the other methods', "
            "controls left out: 1 the same order, 0 nothing in common.",
        ),
    ]
    if localised:
        terms.append(("Lesion", _LESION))
    # A grey strip under attribution from -1 to 1: drawn as the pictures are, it cannot contradict them.
    strip = np.full((_BAR_HEIGHT, _BAR_WIDTH, 3), _GREY, np.uint8)
    attribution = np.broadcast_to(np.linspace(-1, 1, _BAR_WIDTH), (_BAR_HEIGHT, _BAR_WIDTH))
    return Section(
        "How to read this",
        (
            figure(
                overlay(strip, attribution, side=_BAR_WIDTH),
                alt="A strip that turns from blue over grey to orange",
                caption="Blue speaks against the explained class, orange for it; where nothing is "
                "said, the image is as it was. Every picture is scaled by itself: colours compare "
                "places within a picture, not one picture with another.",
            ),
            definitions(terms),
            paragraph(
                "A picture shows what the network's answer hangs on. It does not say that the "
                "answer is right, nor where disease is."
            ),
        ),
    )
