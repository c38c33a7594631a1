"""Does the attribution lie on the lesion? Only where a mask of it is known, and the class is right.

Evidence for the class is positive attribution, anywhere in the image; where there is none, nothing is
pointed at, and every measure is 0. What attribution lies outside the head counts against the method; the
bar is set by controls that know where the head is and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Localisation:
    """How well a attribution map finds a lesion.

    Attributes:
      pointing: see :func:`pointing_game`.
      dice: see :func:`dice_of_hottest`.
      mass_in_mask: see :func:`mass_in_mask`.
    """

    pointing: float
    dice: float
    mass_in_mask: float


def localisation_of(
    attribution: Float[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"]
) -> Localisation:
    """All measures of one attribution map and one lesion.

    Args:
      attribution: finite, positive where a pixel speaks for the class of the lesion.
      mask: where the lesion is, not empty.

    Raises:
      ValueError: an empty mask, other shapes, or attribution that is not finite.
    """
    if attribution.shape != mask.shape or not mask.any() or not np.isfinite(attribution).all():
        raise ValueError(
            f"finite attribution {attribution.shape} and a mask {mask.shape} that is not empty are meant"
        )
    return Localisation(
        pointing=pointing_game(attribution, mask),
        dice=dice_of_hottest(attribution, mask),
        mass_in_mask=mass_in_mask(attribution, mask),
    )


def pointing_game(attribution: Float[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"]) -> float:
    """Whether the hottest pixel lies in the mask: the pointing game of Zhang et al. (2016).

    Of pixels tied for the hottest, such as a superpixel's, the share that lies in it. Without
    their tolerance of 15 pixels, meant for photographs: a lesion may be no larger than that.

    Returns:
      In [0, 1].
    """
    hottest = (attribution == attribution.max()) & (attribution > 0)
    return float(mask[hottest].mean()) if hottest.any() else 0.0


def dice_of_hottest(attribution: Float[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"]) -> float:
    """Dice's coefficient of the mask and as many of the hottest pixels as it has.

    Where at least that many have positive attribution, that is the relevance rank accuracy of Arras,
    Osman & Samek (2022); where fewer have, all of those. Of pixels tied at the last place any may
    be taken: this is the expected value.

    Returns:
      In [0, 1].
    """
    area = int(mask.sum())
    warm = attribution[attribution > 0]
    taken = min(area, len(warm))
    if not taken:
        return 0.0
    last = np.partition(warm, len(warm) - taken)[len(warm) - taken]
    hotter, tied = attribution > last, attribution == last
    places = taken - hotter.sum()
    overlap = mask[hotter].sum() + places * mask[tied].mean()
    return float(2 * overlap / (taken + area))


def mass_in_mask(attribution: Float[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"]) -> float:
    """The share of the positive attribution that lies in the mask: Arras et al.'s relevance mass accuracy.

    Returns:
      In [0, 1].
    """
    if attribution.max() <= 0:
        return 0.0
    positive = (
        np.maximum(attribution, 0) / attribution.max()
    )  # scaled, so that no sum over- or underflows
    inside, outside = positive[mask].sum(), positive[~mask].sum()
    return float(inside / (inside + outside))
