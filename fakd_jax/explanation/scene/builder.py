"""From an image to the scene that every method explains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np
from jaxtyping import UInt8

from fakd_jax.errors import UserError
from fakd_jax.explanation.scene.head import find_head
from fakd_jax.explanation.scene.infill import HIDE
from fakd_jax.explanation.scene.scene import Scene
from fakd_jax.explanation.scene.superpixels import Quickshift, Slic

Segmenter = Slic | Quickshift

SEGMENTERS: Mapping[str, Callable[[], Segmenter]] = {Slic.name: Slic, Quickshift.name: Quickshift}
"""What cuts images into superpixels, by the name that `--segmenter` takes."""


@dataclass(frozen=True)
class SceneBuilder:
    """How images become scenes.

    Attributes:
      segmenter: what cuts the image into superpixels.
      head_only: leave the air around the head out: never hidden, never evidence.
      hide: a key of :data:`fakd_jax.explanation.scene.infill.HIDE`.
    """

    segmenter: Segmenter = field(default_factory=Slic)
    head_only: bool = True
    hide: str = "blur"

    def __post_init__(self) -> None:
        if self.hide not in HIDE:
            raise UserError(f"unknown way to hide {self.hide!r}; known: {', '.join(HIDE)}")

    def settings(self) -> dict[str, Any]:
        """Every choice a scene depends on, seed aside, as JSON-able values."""
        return {
            "segmenter": {"name": self.segmenter.name, **asdict(self.segmenter)},
            "head_only": self.head_only,
            "hide": self.hide,
            "versions": {name: version(name) for name in ("scikit-image", "scipy", "numpy")},
        }

    def scene(self, image: UInt8[np.ndarray, "H W 3"], seed: int) -> Scene:
        """Makes an image ready to be explained.

        Args:
          image: uint8 ``[H, W, 3]``, at the network's input size.
          seed: of the segmenter, where it draws; in [0, 2**31).
        """
        foreground = find_head(image) if self.head_only else np.ones(image.shape[:2], bool)
        superpixels = self.segmenter(image, foreground, seed)
        return Scene(image, superpixels, HIDE[self.hide](image, superpixels))


PAPER = SceneBuilder(segmenter=Quickshift(), head_only=False, hide="mean")
"""The paper's: the lime package's defaults."""
