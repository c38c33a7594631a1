"""Deletion and insertion: does the network need what the explanation calls important?

Petsiuk, Das & Saenko (2018, "RISE"): the most important pixels are removed from the image first,
or inserted first into an image without any, and the class's probability is recorded. Here only
the foreground changes: what lies outside the head is always visible.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

from fakd_jax.explanation.scene.scene import Scene
from fakd_jax.inference.network import Network

STEPS = 20


@dataclass(frozen=True)
class Curves:
    """The class's probability by the fraction of the foreground that was deleted or inserted.

    Attributes:
      fraction: 0 to 1 in equal steps.
      deletion: the probability with the most important fraction replaced.
      insertion: the probability with all but the most important fraction replaced.
    """

    fraction: Float[np.ndarray, " K"]
    deletion: Float[np.ndarray, " K"]
    insertion: Float[np.ndarray, " K"]

    @property
    def deletion_area(self) -> float:
        """In [0, 1]; low where the probability falls at once."""
        return area_under(self.fraction, self.deletion)

    @property
    def insertion_area(self) -> float:
        """In [0, 1]; high where the probability rises at once."""
        return area_under(self.fraction, self.insertion)

    @property
    def gap(self) -> float:
        """Insertion less deletion, in [-1, 1]: what the order adds to the network's own area.

        It is 0 for constant attribution: insertion then is deletion run backwards.
        """
        return self.insertion_area - self.deletion_area


def deletion_insertion(
    scene: Scene,
    network: Network,
    attribution: Float[np.ndarray, "H W"],
    class_index: int,
    steps: int = STEPS,
) -> Curves:
    """Predicts both curves.

    Args:
      scene: the explained one.
      network: the explained one.
      attribution: finite, of `class_index`.
      class_index: in [0, C).
      steps: into which the foreground is divided, at least 1.

    Raises:
      ValueError: see :func:`deletion_opacities`.
    """
    opacities = np.concatenate(
        [
            deletion_opacities(attribution, scene.foreground, steps),
            insertion_opacities(attribution, scene.foreground, steps),
        ]
    )
    probabilities = network.predict_blended(scene.image, scene.replacement, opacities)
    deletion, insertion = np.split(probabilities[:, class_index].astype(np.float64), 2)
    return Curves(np.linspace(0, 1, steps + 1), deletion, insertion)


def deletion_opacities(
    attribution: Float[np.ndarray, "H W"], foreground: Bool[np.ndarray, "H W"], steps: int = STEPS
) -> Float32[np.ndarray, "K H W"]:
    """The opacity of each pixel while the most important fraction of the foreground is deleted.

    Pixels go by falling attribution; negative attribution speaks against the class and goes last.
    Pixels of equal attribution fade together, evenly: each has the expected opacity over all
    orders in which they could go, so that a superpixel of one attribution stays whole and no
    drawn order decides. The last pixel of a fraction that is not an integer number of pixels
    fades likewise.

    Args:
      attribution: finite.
      foreground: what may be replaced, not empty.
      steps: into which it is divided, at least 1.

    Returns:
      In [0, 1], for `steps` + 1 images: the whole image first, the whole foreground replaced
      last; the background is always 1.

    Raises:
      ValueError: no foreground, no steps, or attribution that is not finite.
    """
    return _opacities(foreground, 1 - _taken(attribution, foreground, steps))


def insertion_opacities(
    attribution: Float[np.ndarray, "H W"], foreground: Bool[np.ndarray, "H W"], steps: int = STEPS
) -> Float32[np.ndarray, "K H W"]:
    """As :func:`deletion_opacities`, from the whole foreground replaced to the whole image."""
    return _opacities(foreground, _taken(attribution, foreground, steps))


def area_under(fraction: Float[np.ndarray, " K"], curve: Float[np.ndarray, " K"]) -> float:
    """The area under a curve by the trapezoidal rule."""
    return float(np.trapezoid(curve, fraction))


def _taken(
    attribution: Float[np.ndarray, "H W"], foreground: Bool[np.ndarray, "H W"], steps: int
) -> Float[np.ndarray, "K P"]:
    """How much of each of the foreground's P pixels has been taken after 0, 1, … `steps` steps."""
    if steps < 1 or not foreground.any():
        raise ValueError(f"{steps} steps over a foreground of {foreground.sum()} pixels")
    values = attribution[foreground]
    if not np.isfinite(values).all():
        raise ValueError("the attribution is not finite")
    _, level, sizes = np.unique(-values, return_inverse=True, return_counts=True)
    higher = np.cumsum(sizes) - sizes
    quota = np.arange(steps + 1)[:, None] * len(values) / steps
    return np.clip((quota - higher) / sizes, 0, 1)[:, level]


def _opacities(
    foreground: Bool[np.ndarray, "H W"], of_foreground: Float[np.ndarray, "K P"]
) -> Float32[np.ndarray, "K H W"]:
    opacities = np.ones((len(of_foreground), *foreground.shape), np.float32)
    opacities[:, foreground] = of_foreground
    return opacities
