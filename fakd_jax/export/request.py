"""What is to be exported, and how."""

from __future__ import annotations

from dataclasses import dataclass

from fakd_jax.export.images import RealImages
from fakd_jax.inference.predictor import Predictor

NO_IMAGES = RealImages(None, None)


@dataclass(frozen=True)
class Request:
    """An export, without its path.

    Attributes:
      predictor: the opened checkpoint; computes in float32.
      precision: of the exported network, where its format has a choice.
      images: real ones to calibrate and verify on.
      with_onnx: whether a bundle has an ONNX file too.
    """

    predictor: Predictor
    precision: str = "float32"
    images: RealImages = NO_IMAGES
    with_onnx: bool = False
