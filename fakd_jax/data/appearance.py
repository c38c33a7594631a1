"""How bright and how flat images are, so that those much unlike the training images are named.

A wrong window, a wrong bit depth or a lost contrast shows here before it shows in a metric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from fakd_jax.data.pipeline import ImageSource
from fakd_jax.data.resizing import resize
from fakd_jax.errors import UserError, listed

METADATA_KEY = "appearance"
"""The key of a checkpoint's metadata for the appearance of its training images."""

MAX_IMAGES = 512
"""Of more images, as many are looked at, evenly spaced."""

LOW_PERCENT, HIGH_PERCENT = 1, 99
FACTOR = 2.0
"""Beyond the percentiles by this factor, an image is much unlike the training images."""

_WHITE = 255.0


@dataclass(frozen=True)
class Appearance:
    """Percentiles over images, in grey levels of 0 to 255.

    Attributes:
      darkest: the 1st percentile of the images' mean.
      brightest: the 99th percentile of it.
      flattest: the 1st percentile of the images' standard deviation.
    """

    darkest: float
    brightest: float
    flattest: float

    def __post_init__(self) -> None:
        values = (self.darkest, self.brightest, self.flattest)
        if not all(0 <= value <= _WHITE for value in values):
            raise ValueError(f"grey levels {values} are not between 0 and 255")

    @classmethod
    def of(cls, images: ImageSource, ids: Sequence[str], size: int) -> Appearance:
        """Looks at training images.

        Args:
          images: the data.
          ids: of the images, at least one.
          size: side of the square that they are resized to, in pixels.
        """
        measured = [_measure(_read(images, id, size)) for id in _evenly_spaced(ids)]
        means, deviations = np.array(measured).T
        darkest, brightest = np.percentile(means, [LOW_PERCENT, HIGH_PERCENT])
        flattest = np.percentile(deviations, LOW_PERCENT)
        return cls(round(float(darkest), 2), round(float(brightest), 2), round(float(flattest), 2))

    @classmethod
    def of_training(cls, metadata: Mapping[str, Any]) -> Appearance | None:
        """Reads it from a checkpoint's metadata; None if an earlier version wrote them.

        Raises:
          UserError: it is damaged.
        """
        stored = metadata.get(METADATA_KEY)
        try:
            return None if stored is None else cls(**stored)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{METADATA_KEY} in metadata.json is damaged ({error}); restore it"
            ) from error

    def to_dict(self) -> dict[str, float]:
        """JSON-able values, for :meth:`of_training`."""
        return asdict(self)

    def difference(self, image: UInt8[np.ndarray, "H W 3"]) -> str:
        """How an image is much unlike the training images: `much darker`; "" if it is not."""
        mean, deviation = _measure(image)
        if mean < self.darkest / FACTOR:
            return "much darker"
        if _WHITE - mean < (_WHITE - self.brightest) / FACTOR:
            return "much brighter"
        return "almost no contrast" if deviation < self.flattest / FACTOR else ""

    def describe_unlike(self, images: ImageSource, ids: Sequence[str], size: int) -> str:
        """One line on the images that are much unlike the training images; "" if none is.

        Args:
          images: the data.
          ids: of the images.
          size: side of the square that they are resized to, in pixels.
        """
        looked_at = _evenly_spaced(ids)
        found = {id: self.difference(_read(images, id, size)) for id in looked_at}
        return describe_differences(found)


def describe_differences(differences: Mapping[str, str]) -> str:
    """The images that have a difference, in one line; "" if none has.

    Args:
      differences: of each image by id, see :meth:`Appearance.difference`.
    """
    unlike = {id: difference for id, difference in differences.items() if difference}
    if not unlike:
        return ""
    named = listed([f"{id} ({difference})" for id, difference in unlike.items()], most=5)
    return (
        f"{len(unlike):,} of {len(differences):,} images looked at are much unlike the training "
        f"images: {named}; check how they were exported, and their window"
    )


def _evenly_spaced(ids: Sequence[str]) -> Sequence[str]:
    if len(ids) <= MAX_IMAGES:
        return ids
    return [ids[index * len(ids) // MAX_IMAGES] for index in range(MAX_IMAGES)]


def _read(images: ImageSource, id: str, size: int) -> UInt8[np.ndarray, "S S 3"]:
    return resize(images.read(images.index_of(id)), size)


def _measure(image: UInt8[np.ndarray, "H W 3"]) -> tuple[float, float]:
    """Mean and standard deviation of the grey levels: of the mean of the channels."""
    grey = image.mean(axis=-1)
    return float(grey.mean()), float(grey.std())
