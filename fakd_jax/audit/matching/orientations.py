"""The eight orientations of a picture: the dihedral group of the square."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped


@dataclass(frozen=True)
class Orientation:
    """Quarter turns counter-clockwise, then optionally a left–right flip.

    Attributes:
      name: in reports.
      turns: quarter turns, 0 to 3.
      mirrored: whether left and right are swapped after turning.
    """

    name: str
    turns: int
    mirrored: bool

    def apply(self, images: Shaped[np.ndarray, "*N H W"]) -> Shaped[np.ndarray, "*N _ _"]:
        """Turns and mirrors the last two axes; returns a view. A quarter turn swaps H and W."""
        turned = np.rot90(images, self.turns, axes=(-2, -1))
        return turned[..., ::-1] if self.mirrored else turned


ORIENTATIONS = (
    Orientation("as it is", 0, False),
    Orientation("mirrored", 0, True),
    Orientation("turned by 180°", 2, False),
    Orientation("upside down", 2, True),
    Orientation("turned by 90°", 1, False),
    Orientation("turned by 270°", 3, False),
    Orientation("turned by 90° and mirrored", 1, True),
    Orientation("turned by 270° and mirrored", 3, True),
)
