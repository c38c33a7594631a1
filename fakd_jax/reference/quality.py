"""Image quality, judged by what is common among the training images.

Brightness and contrast are judged as in :mod:`fakd_jax.data.appearance`. Sharpness and noise are
measured relative to an image's own contrast, so that no linear window changes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from fakd_jax.data.appearance import Appearance
from fakd_jax.data.head import find_head
from fakd_jax.data.resizing import resize

RARE_PERCENT = 0.5
"""Of the training images, as many lie beyond each limit."""

MOST_WITHOUT_HEAD = 0.01
"""Share of the training images without a head up to which a head is expected."""

_HEAD_SIDE = 112  # pixels: heads are found as well as at 224, in a quarter of the time
_NORMAL_MEDIAN = 0.6745  # the median of |x| for a standard normal x


class Measured(NamedTuple):
    """What the limits of sharpness, noise and heads are set on.

    Attributes:
      detail: strength of the finest detail (below 1 pixel, by Gaussian blur) over that of the next
        coarser (1 to 2 pixels); 0 where there is neither.
      noise: standard deviation of the noise over that of the grey levels; 0 for a constant image.
      head: whether a head is found, see :func:`fakd_jax.data.head.find_head`.
    """

    detail: float
    noise: float
    head: bool


@dataclass(frozen=True)
class QualityLimits:
    """Limits beyond which hardly any training image lies.

    Attributes:
      image_size: side of the square that images are resized to before they are measured, pixels.
      appearance: brightness and contrast of the training images.
      least_detail: an image with less is blurred.
      most_noise: an image with more is noisy.
      head_expected: whether an image without a head is poor.
    """

    image_size: int
    appearance: Appearance
    least_detail: float
    most_noise: float
    head_expected: bool

    @classmethod
    def of(
        cls, measured: Sequence[Measured], appearance: Appearance, image_size: int
    ) -> QualityLimits:
        """Sets the limits.

        Args:
          measured: of training images of side `image_size`, at least one.
          appearance: of training images.
          image_size: see :class:`QualityLimits`.
        """
        detail, noise, head = np.array(measured, np.float64).T
        return cls(
            image_size,
            appearance,
            least_detail=float(np.percentile(detail, RARE_PERCENT, method="lower")),
            most_noise=float(np.percentile(noise, 100 - RARE_PERCENT, method="higher")),
            head_expected=bool(np.mean(head == 0) <= MOST_WITHOUT_HEAD),
        )

    def reasons(self, image: UInt8[np.ndarray, "H W 3"]) -> tuple[str, ...]:
        """What is amiss with an image of any size, in a few words each; () if nothing is."""
        resized = resize(image, self.image_size)
        found = measure(resized)
        amiss = {
            "blurred": found.detail < self.least_detail,
            "noisy": found.noise > self.most_noise,
            "no head found": self.head_expected and not found.head,
        }
        difference = self.appearance.difference(resized)
        return tuple(filter(None, (difference, *(name for name in amiss if amiss[name]))))

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values, for :meth:`from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> QualityLimits:
        """Reads the output of :meth:`to_dict`.

        Raises:
          TypeError, ValueError: the values are not such.
        """
        return cls(**{**values, "appearance": Appearance(**values["appearance"])})


def measure(image: UInt8[np.ndarray, "S S 3"]) -> Measured:
    """Measures an image."""
    from scipy.ndimage import gaussian_filter

    grey = image.mean(axis=-1, dtype=np.float32)
    contrast = float(grey.std())
    fine, coarse = gaussian_filter(grey, 1.0), gaussian_filter(grey, 2.0)
    coarser = float((fine - coarse).std())
    return Measured(
        float((grey - fine).std()) / coarser if coarser else 0.0,
        _noise(grey) / contrast if contrast else 0.0,
        not find_head(resize(image, _HEAD_SIDE)).all(),
    )


def _noise(grey: Float32[np.ndarray, "S S"]) -> float:
    """The standard deviation of Gaussian noise, in grey levels.

    From the second difference along both axes, to which smooth structure contributes little and
    white noise six times its standard deviation (Immerkær, "Fast noise variance estimation",
    Computer Vision and Image Understanding 64, 1996); by its median, which edges hardly move.
    """
    rows = grey[:-2] - 2 * grey[1:-1] + grey[2:]
    both = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return float(np.median(np.abs(both))) / (6 * _NORMAL_MEDIAN)
