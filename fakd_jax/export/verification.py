"""Whether an exported network does what the checkpoint does, on real images and on noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int, UInt8

from fakd_jax.errors import UserError
from fakd_jax.export.images import Images
from fakd_jax.inference.predictor import Predictor, softmax

NUM_NOISE = 8
"""Images of noise, which need no data."""

Logits = Callable[[UInt8[np.ndarray, "B S S 3"]], Float32[np.ndarray, "B C"]]


@dataclass(frozen=True)
class Tolerance:
    """How far an exported network may be from the checkpoint's.

    Attributes:
      relative: largest difference of a logit, as a share of the largest logit; None for any. Where
        weights are rounded, logits of noise may differ much and mean nothing.
      agreement: least share of real images with the same most probable class.
      accuracy_loss: how much accuracy on real images may be lost.
    """

    relative: float | None = None
    agreement: float = 1.0
    accuracy_loss: float = 0.0


TOLERANCES = {
    "float32": Tolerance(relative=1e-3),
    "float16": Tolerance(agreement=0.995, accuracy_loss=0.005),
    "int8": Tolerance(agreement=0.98, accuracy_loss=0.01),
}


@dataclass(frozen=True)
class Comparison:
    """An exported network beside the checkpoint's, on some images.

    Attributes:
      images: what they are.
      n: their number.
      agreement: share with the same most probable class.
      logit_difference: the largest.
      relative_difference: that, as a share of the largest logit.
      probability_difference: the largest.
      accuracies: of the checkpoint and of the export; None where labels are unknown.
    """

    images: str
    n: int
    agreement: float
    logit_difference: float
    relative_difference: float
    probability_difference: float
    accuracies: tuple[float, float] | None = None

    def __str__(self) -> str:
        """One line for the user."""
        text = (
            f"{self.n:,} {self.images}: same class on {self.agreement:.2%}, logits within "
            f"{self.logit_difference:.2g}, probabilities within {self.probability_difference:.2g}"
        )
        if self.accuracies:
            before, after = self.accuracies
            text += f", accuracy {before:.2%} (checkpoint) and {after:.2%}"
        return text


def verify_logits(
    predictor: Predictor, logits: Logits, images: Images | None, precision: str = "float32"
) -> str:
    """Compares an exported network with the checkpoint's.

    Args:
      predictor: the checkpoint.
      logits: of the exported network, for a batch at the network's input size.
      images: real ones; None if there are none at hand.
      precision: of the exported network, one of `TOLERANCES`.

    Returns:
      What was compared, one line for each kind of images.

    Raises:
      UserError: they differ by more than is tolerated.
    """
    side, tolerance = predictor.preprocessing.image_size, TOLERANCES[precision]
    noise = np.random.default_rng(0).integers(0, 256, (NUM_NOISE, side, side, 3), np.uint8)
    compared = [compare(predictor, logits, noise, "images of noise")]
    if images is not None:
        compared.append(compare(predictor, logits, images.pixels, images.name, images.labels))
    for number, comparison in enumerate(compared):
        if problem := _problem(comparison, tolerance, real=number > 0):
            raise UserError(
                f"the export in {precision} is not close enough to the checkpoint: {problem} "
                f"({comparison}); nothing was kept: export with another --precision"
            )
    lines = [f"verified on {comparison}" for comparison in compared]
    if images is None:
        lines.append("no real images at hand to verify on: give --data")
    return "\n".join(lines)


def compare(
    predictor: Predictor,
    logits: Logits,
    pixels: UInt8[np.ndarray, "N S S 3"],
    name: str,
    labels: Int[np.ndarray, " N"] | None = None,
) -> Comparison:
    """Measures how far an exported network is from the checkpoint's; the arguments are theirs.

    Batches of two sizes are computed, since an export takes any.
    """
    size = predictor.batch_size
    starts = range(0, len(pixels), size + 1)
    after = np.concatenate([logits(pixels[start : start + size + 1]) for start in starts])
    before = predictor.predict_logits(pixels)
    difference = float(np.abs(before - after).max())
    finite = bool(np.isfinite(after).all())
    classes = before.argmax(axis=1), after.argmax(axis=1)
    accuracies = None
    if labels is not None:
        accuracies = (float(np.mean(classes[0] == labels)), float(np.mean(classes[1] == labels)))
    return Comparison(
        name,
        len(pixels),
        float(np.mean(classes[0] == classes[1])) if finite else 0.0,
        difference if finite else float("inf"),
        difference / float(np.abs(before).max()) if finite else float("inf"),
        float(np.abs(softmax(before) - softmax(after)).max()) if finite else 1.0,
        accuracies,
    )


def _problem(comparison: Comparison, tolerance: Tolerance, *, real: bool) -> str:
    """What is not tolerated; "" if nothing."""
    if tolerance.relative is not None:
        if comparison.relative_difference <= tolerance.relative:
            return ""
        return f"logits may differ by {tolerance.relative:g} of the largest"
    if comparison.logit_difference == float("inf"):
        return "logits are not finite"
    if not real:
        return ""
    if comparison.agreement < tolerance.agreement:
        return f"at least {tolerance.agreement:.1%} of the classes must be the same"
    if comparison.accuracies:
        before, after = comparison.accuracies
        if before - after > tolerance.accuracy_loss:
            return f"accuracy may fall by {tolerance.accuracy_loss:.1%}"
    return ""
