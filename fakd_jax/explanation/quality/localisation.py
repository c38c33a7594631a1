"""Does the heat lie on the lesion? Only where a mask of it is known, and the class is right.

Evidence for the class is positive heat, anywhere in the image; where there is none, nothing is
pointed at, and every measure is 0. What heat lies outside the head counts against the method; the
bar is set by controls that know where the head is and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float


@dataclass(frozen=True)
class Localisation:
    """How well a heat map finds a lesion.

    Attributes:
      pointing: see :func:`pointing_game`.
      dice: see :func:`dice_of_hottest`.
      mass_in_mask: see :func:`mass_in_mask`.
    """

    pointing: float
    dice: float
    mass_in_mask: float


def localisation_of(heat: Float[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"]) -> Localisation:
    """All measures of one heat map and one lesion.

    Args:
      heat: finite, positive where a pixel speaks for the class of the lesion.
      mask: where the lesion is, not empty.

    Raises:
      ValueError: an empty mask, other shapes, or heat that is not finite.
    """
    if heat.shape != mask.shape or not mask.any() or not np.isfinite(heat).all():
        raise ValueError(
            f"finite heat {heat.shape} and a mask {mask.shape} that is not empty are meant"
        )
    return Localisation(
        pointing=pointing_game(heat, mask),
        dice=dice_of_hottest(heat, mask),
        mass_in_mask=mass_in_mask(heat, mask),
    )


def pointing_game(heat: Float[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"]) -> float:
    """Whether the hottest pixel lies in the mask: the pointing game of Zhang et al. (2016).

    Of pixels tied for the hottest, such as a superpixel's, the share that lies in it. Without
    their tolerance of 15 pixels, meant for photographs: a lesion may be no larger than that.

    Returns:
      In [0, 1].
    """
    hottest = (heat == heat.max()) & (heat > 0)
    return float(mask[hottest].mean()) if hottest.any() else 0.0


def dice_of_hottest(heat: Float[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"]) -> float:
    """Dice's coefficient of the mask and as many of the hottest pixels as it has.

    Where at least that many have positive heat, that is the relevance rank accuracy of Arras,
    Osman & Samek (2022); where fewer have, all of those. Of pixels tied at the last place any may
    be taken: this is the expected value.

    Returns:
      In [0, 1].
    """
    area = int(mask.sum())
    warm = heat[heat > 0]
    taken = min(area, len(warm))
    if not taken:
        return 0.0
    last = np.partition(warm, len(warm) - taken)[len(warm) - taken]
    hotter, tied = heat > last, heat == last
    places = taken - hotter.sum()
    overlap = mask[hotter].sum() + places * mask[tied].mean()
    return float(2 * overlap / (taken + area))


def mass_in_mask(heat: Float[np.ndarray, "H W"], mask: Bool[np.ndarray, "H W"]) -> float:
    """The share of the positive heat that lies in the mask: Arras et al.'s relevance mass accuracy.

    Returns:
      In [0, 1].
    """
    if heat.max() <= 0:
        return 0.0
    positive = np.maximum(heat, 0) / heat.max()  # scaled, so that no sum over- or underflows
    inside, outside = positive[mask].sum(), positive[~mask].sum()
    return float(inside / (inside + outside))
