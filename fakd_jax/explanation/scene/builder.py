"""From an image to the scene that every method explains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
from jaxtyping import UInt8

from fakd_jax.data.head import find_head
from fakd_jax.errors import UserError
from fakd_jax.explanation.scene.infill import INFILLS
from fakd_jax.explanation.scene.scene import Scene
from fakd_jax.explanation.scene.superpixels import Quickshift, Slic

Segmenter = Slic | Quickshift

SEGMENTERS: Mapping[str, Callable[[], Segmenter]] = {Slic.name: Slic, Quickshift.name: Quickshift}
"""Superpixel algorithms, by the name that `--segmenter` takes."""


@dataclass(frozen=True)
class SceneBuilder:
    """How images become scenes.

    Attributes:
      segmenter: divides the image into superpixels.
      head_only: whether the air around the head is background: always visible, never evidence.
      hide: a key of :data:`fakd_jax.explanation.scene.infill.INFILLS`.
    """

    segmenter: Segmenter = field(default_factory=Slic)
    head_only: bool = True
    hide: str = "blur"

    def __post_init__(self) -> None:
        if self.hide not in INFILLS:
            raise UserError(f"unknown infill {self.hide!r}; known: {', '.join(INFILLS)}")

    def settings(self) -> dict[str, Any]:
        """Every choice that a scene depends on but the seed, as JSON-able values."""
        return {
            "segmenter": {"name": self.segmenter.name, **asdict(self.segmenter)},
            "head_only": self.head_only,
            "hide": self.hide,
            "versions": {name: version(name) for name in ("scikit-image", "scipy", "numpy")},
        }

    def scene(self, image: UInt8[np.ndarray, "H W 3"], seed: int) -> Scene:
        """Prepares an image of the network's input size; `seed` is the segmenter's, below 2**31."""
        foreground = find_head(image) if self.head_only else np.ones(image.shape[:2], bool)
        superpixels = self.segmenter(image, foreground, seed)
        return Scene(image, superpixels, INFILLS[self.hide](image, superpixels))


PAPER = SceneBuilder(segmenter=Quickshift(), head_only=False, hide="mean")
"""The paper's: the lime package's defaults."""
