"""Does the network need what the explanation calls important? Deletion and insertion.

Petsiuk, Das & Saenko (2018, "RISE"): the most important pixels are taken away from the image first,
or given back first to an image without any, and the class's probability is watched. Here that
happens in the foreground alone: what lies outside the head is always shown, as everywhere.
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
    """The class's probability by the share of the foreground that was replaced, or given back.

    Attributes:
      fraction: the share, 0 to 1 in equal steps, ``[steps + 1]``.
      deletion: the probability with the most important share replaced, ``[steps + 1]``.
      insertion: the probability with all but the most important share replaced, likewise.
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
        """Insertion less deletion, in [-1, 1].

        0 for attribution that is the same everywhere: insertion then is deletion run backwards. So much
        of either area is the network's own, and the gap what the order adds.
        """
        return self.insertion_area - self.deletion_area


def deletion_insertion(
    scene: Scene,
    network: Network,
    attribution: Float[np.ndarray, "H W"],
    class_index: int,
    steps: int = STEPS,
) -> Curves:
    """Asks the network for both curves, once.

    Args:
      scene: what was explained.
      network: whose probabilities were explained.
      attribution: the explanation of `class_index` by pixel; see :func:`deletion_opacities`.
      class_index: in [0, C).
      steps: into how many equal parts the foreground is divided.

    Raises:
      ValueError: see :func:`deletion_opacities`.
    """
    opacities = np.concatenate(
        [
            deletion_opacities(attribution, scene.foreground, steps),
            insertion_opacities(attribution, scene.foreground, steps),
        ]
    )
    answers = network.predict_blended(scene.image, scene.replacement, opacities)
    deletion, insertion = np.split(answers[:, class_index].astype(np.float64), 2)
    return Curves(np.linspace(0, 1, steps + 1), deletion, insertion)


def deletion_opacities(
    attribution: Float[np.ndarray, "H W"], foreground: Bool[np.ndarray, "H W"], steps: int = STEPS
) -> Float32[np.ndarray, "K H W"]:
    """How much of each pixel is shown while the hottest share of the foreground is taken away.

    Pixels go by falling attribution. Negative attribution speaks against the class, so it is the least
    important for it and goes last, after pixels of no attribution.

    Pixels of equal attribution go together, fading evenly from shown to hidden: each has the expected
    opacity over all orders in which they could go. A superpixel in one attribution thus stays whole, no
    corner of the image comes first, and no drawn order decides. Of a share that is no whole number
    of pixels, the last one fades likewise.

    Args:
      attribution: finite.
      foreground: what may be hidden, not empty.
      steps: into how many equal parts it is divided, at least 1.

    Returns:
      Opacities in [0, 1], ``[steps + 1, H, W]``: the whole image first, the whole foreground
      hidden last; the background is always 1.

    Raises:
      ValueError: no foreground, no steps, or attribution that is not finite.
    """
    return _opacities(foreground, 1 - _taken(attribution, foreground, steps))


def insertion_opacities(
    attribution: Float[np.ndarray, "H W"], foreground: Bool[np.ndarray, "H W"], steps: int = STEPS
) -> Float32[np.ndarray, "K H W"]:
    """How much of each pixel is shown while the hottest share of the foreground is given back.

    As :func:`deletion_opacities`, from the whole foreground hidden to the whole image.
    """
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
    hotter = np.cumsum(sizes) - sizes
    quota = np.arange(steps + 1)[:, None] * len(values) / steps
    return np.clip((quota - hotter) / sizes, 0, 1)[:, level]


def _opacities(
    foreground: Bool[np.ndarray, "H W"], shown: Float[np.ndarray, "K P"]
) -> Float32[np.ndarray, "K H W"]:
    opacities = np.ones((len(shown), *foreground.shape), np.float32)
    opacities[:, foreground] = shown
    return opacities
