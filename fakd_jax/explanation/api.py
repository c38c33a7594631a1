"""Explaining one image: the library's call, and the core of the command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Array, Float32, Shaped, UInt8

from fakd_jax.data.pixels.frames import read_picture
from fakd_jax.data.preprocessing import resize
from fakd_jax.errors import UserError
from fakd_jax.explanation.methods.registry import create_explainer
from fakd_jax.explanation.result import Explainer, Explanation, Score
from fakd_jax.explanation.scene.builder import SceneBuilder
from fakd_jax.inference.adapter import network_of
from fakd_jax.inference.network import Network
from fakd_jax.inference.predictor import Predictor, as_uint8
from fakd_jax.runtime.hashing import sha256

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class ImageExplanation(Explanation):
    """What in an image speaks for and against a class, with the decision it explains.

    Attributes:
      image: the network's input, ``[S, S, 3]``.
      probabilities: of the C classes.
      class_names: in the order of the probabilities.
      method: the method's name.
      score: what the method explains and its attributions are of: a probability, a logit, or
        nothing of the network (None).
      original_size: height and width of the image before it was resized, where they are known.
    """

    image: UInt8[np.ndarray, "S S 3"]
    probabilities: Float32[np.ndarray, " C"]
    class_names: Sequence[str]
    method: str
    score: Score | None
    original_size: tuple[int, int] | None = None

    @property
    def target(self) -> str:
        """The explained class."""
        return self.class_names[self.class_index]

    @property
    def prediction(self) -> str:
        """The most probable class."""
        return self.class_names[int(np.argmax(self.probabilities))]

    def figure(self, *, top: int = 3, true_class: str | None = None, subtitle: str = "") -> Figure:
        """Draws the image, what speaks for the target, what speaks against it, and both.

        Args:
          top: superpixels per panel.
          true_class: for the title, where it is known.
          subtitle: e.g. the image's name; the method's name by default.
        """
        from fakd_jax.explanation.report.figure import (
            describe_reliability,
            explanation_figure,
            figure_title,
        )

        return explanation_figure(
            self.image,
            self,
            top,
            title=figure_title(self.prediction, float(self.probabilities.max()), true_class),
            subtitle=subtitle or self.method.upper(),
            remark=describe_reliability(self),
            class_name=self.target,
            score=self.score,
            original_size=self.original_size,
        )


def explain_image(
    predictor: Predictor,
    image: Shaped[np.ndarray | Array, "H W 3"] | str | Path,
    *,
    method: str = "lime",
    target: str | int | None = None,
    seed: int = 0,
    scene_builder: SceneBuilder | None = None,
    **options: Any,
) -> ImageExplanation:
    """Explains what a network says of one class of an image: its probability or its logit.

    The same image, seed and options give the same explanation as the command.

    Args:
      predictor: the network.
      image: RGB of any size, uint8 in 0..255 or float in [0, 1], or an image file, of which
        grey levels of more than 8 bits become 8 as in training. It is resized to the network's
        input first.
      method: a key of :data:`fakd_jax.explanation.methods.registry.EXPLAINERS`.
      target: the class, by name or index; None explains the predicted one.
      seed: of superpixels and perturbations, not negative.
      scene_builder: superpixels and infill; by default 48 SLIC superpixels within the head,
        blurred where they are hidden.
      **options: the method's settings, e.g. `num_samples=1000`.

    Raises:
      UserError: an unknown method or class, a setting out of range, or a file that cannot be read.
      ValueError: an array of another shape, dtype or range.

    Examples:
      >>> explanation = explain_image(predictor, "scan.png", target="glioma", num_samples=50)
      >>> explanation.figure().savefig("explanation.png")
    """
    if seed < 0:
        raise UserError(f"seed is {seed}; it must not be negative")
    explainer = create_explainer(method, **options)
    if isinstance(image, str | Path):
        pixels = read_picture(str(image), predictor.preprocessing.pixels)
    else:
        pixels = as_uint8(np.asarray(image)[None])[0]
    network = _network(predictor)
    return explain_prepared(
        network,
        resize(pixels, network.image_size),
        explainer,
        scene_builder or SceneBuilder(),
        class_index=None if target is None else _class_index(network, target),
        seed=seed,
        original_size=pixels.shape[:2],
    )


def explain_prepared(
    network: Network,
    image: UInt8[np.ndarray, "S S 3"],
    explainer: Explainer,
    scene_builder: SceneBuilder,
    *,
    class_index: int | None = None,
    seed: int = 0,
    original_size: tuple[int, int] | None = None,
) -> ImageExplanation:
    """Explains an image of the network's input size; `class_index` None means the predicted class.

    The seed of superpixels and perturbations is derived from `seed` and the pixels
    (:func:`image_seed`).
    """
    probabilities = network.predict_proba(image[None])[0]
    explained = int(probabilities.argmax()) if class_index is None else class_index
    own_seed = image_seed(seed, image)
    scene = scene_builder.scene(image, own_seed)
    explanation = explainer.explain(scene, network, explained, own_seed)
    return ImageExplanation(
        **vars(explanation),
        image=image,
        probabilities=probabilities,
        class_names=network.class_names,
        method=explainer.name,
        score=explainer.score,
        original_size=original_size,
    )


def image_seed(seed: int, image: UInt8[np.ndarray, "H W 3"]) -> int:
    """The seed of one image, in [0, 2**31): a hash of the run's seed and the image's pixels."""
    return int(sha256(f"{seed} {image.shape} ", image.tobytes())[:8], 16) >> 1


@lru_cache(maxsize=1)
def _network(predictor: Predictor) -> Network:
    """The predictor as the explainers query it; kept, as its gradients are compiled once."""
    return network_of(predictor)


def _class_index(network: Network, target: str | int) -> int:
    names = list(network.class_names)
    if target in names:
        return names.index(str(target))
    if isinstance(target, int) and 0 <= target < len(names):
        return target
    raise UserError(f"there is no class {target!r}; choose one of {', '.join(names)}")
