"""Explaining one image: the library's call, and the core of the command."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
from jaxtyping import Array, Float32, Shaped, UInt8

from fakd_jax.data.pixels.frames import read_picture
from fakd_jax.data.pixels.window import DEFAULT_RULES
from fakd_jax.data.preprocessing import resize
from fakd_jax.errors import UserError
from fakd_jax.explanation.methods.registry import create_explainer
from fakd_jax.explanation.result import Explainer, Explanation, Score
from fakd_jax.explanation.scene.builder import SceneBuilder
from fakd_jax.explanation.target import TargetRule
from fakd_jax.inference.adapter import network_of
from fakd_jax.inference.network import Network, PredictFunction
from fakd_jax.inference.predictor import Predictor, as_uint8
from fakd_jax.runtime.hashing import sha256

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class ImageExplanation(Explanation):
    """What in an image speaks for and against a class, with the decision it explains.

    Attributes:
      image: the network's input, ``[H, W, 3]``.
      probabilities: of the C classes.
      class_names: in the order of the probabilities.
      method: the method's name.
      score: what is explained and the attributions are of: a probability, a logit, the log-odds of
        two classes, or nothing of the network (None).
      against: the class that the explained one is contrasted with; None for no contrast.
      original: the image before it was resized, where it is known.
    """

    image: UInt8[np.ndarray, "H W 3"]
    probabilities: Float32[np.ndarray, " C"]
    class_names: Sequence[str]
    method: str
    score: Score | None
    against: int | None = None
    original: UInt8[np.ndarray, "h w 3"] | None = None

    @property
    def target(self) -> str:
        """The explained class."""
        return self.class_names[self.class_index]

    @property
    def contrast(self) -> str | None:
        """The class that the explained one is contrasted with."""
        return None if self.against is None else self.class_names[self.against]

    @property
    def prediction(self) -> str:
        """The most probable class."""
        return self.class_names[int(np.argmax(self.probabilities))]

    def attribution_of_original(self) -> Float32[np.ndarray, "h w"]:
        """The attribution at the size and aspect of the original image.

        See :func:`fakd_jax.explanation.report.attribution.at_size`.
        """
        from fakd_jax.explanation.report.attribution import at_size

        size = (self.image if self.original is None else self.original).shape[:2]
        return at_size(self.attribution, size, smooth=not self.by_superpixel)

    def overlay(self) -> UInt8[np.ndarray, "h w 3"]:
        """The original image, orange where it speaks for the target and blue where against."""
        from fakd_jax.explanation.report.attribution import overlay

        original = self.image if self.original is None else self.original
        return overlay(original, self.attribution_of_original(), side=1)

    def reading(self, top: int = 3) -> str:
        """What the explanation shows and what it does not, in sentences."""
        from fakd_jax.explanation.report.reading import reading

        return reading(
            self,
            top,
            method=self.method,
            score=self.score,
            class_name=self.target,
            contrast=self.contrast,
        )

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
            reading=self.reading(top),
            class_name=self.target,
            contrast=self.contrast,
            score=self.score,
            original_size=None if self.original is None else self.original.shape[:2],
        )


def explain_image(
    predictor: Predictor | Network | PredictFunction,
    image: Shaped[np.ndarray | Array, "H W 3"] | str | Path,
    *,
    method: str = "lime",
    target: str | SupportsIndex | None = None,
    contrast: str | SupportsIndex | None = None,
    class_names: Sequence[str] | None = None,
    seed: int = 0,
    scene_builder: SceneBuilder | None = None,
    **options: Any,
) -> ImageExplanation:
    """Explains what a network says of one class of an image: its probability or its logit.

    The same image, seed and options give the same explanation as the command. A checkpoint's
    network computes in float32, also where it predicts in bfloat16.

    Args:
      predictor: the network; or any function from uint8 images ``[N, H, W, 3]`` to probabilities
        ``[N, C]``, which is called with 32 images at once. A function has no gradients, so that
        CAMs and integrated gradients need a checkpoint, or a
        :class:`~fakd_jax.inference.network.Network` that has some.
      image: RGB of any size, uint8 in 0..255 or float in [0, 1], or an image file, of which
        grey levels of more than 8 bits become 8 as in training. It is resized to the network's
        input first; a function gets it at its own size.
      method: a key of :data:`fakd_jax.explanation.methods.registry.EXPLAINERS`.
      target: the class, by name or index, or "predicted" or "runner-up"; None explains the
        predicted one. "A:B" is a contrast.
      contrast: another class, likewise: explained is then what speaks for the target rather than
        for this class, the log-odds of the two (:mod:`fakd_jax.explanation.target`).
      class_names: of a function's C outputs; '0', '1', … by default. A network has its own.
      seed: of superpixels and perturbations, not negative.
      scene_builder: superpixels and infill; by default 48 SLIC superpixels within the head,
        blurred where they are hidden.
      **options: the method's settings, e.g. `num_samples=1000`.

    Raises:
      UserError: an unknown method or class, a setting out of range, a method that needs gradients
        for a function that has none, or a file that cannot be read.
      ValueError: an array of another shape, dtype or range; or a function's output is of another
        shape or not finite.

    Examples:
      >>> explanation = explain_image(predictor, "scan.png", target="glioma", num_samples=50)
      >>> explanation.figure().savefig("explanation.png")
      >>> why_not = explain_image(predictor, images[0], contrast="runner-up", num_samples=50)
      >>> why_not.score, why_not.overlay().shape == images[0].shape
      ('log-odds', True)
      >>> any_model = explain_image(predictor.predict_proba, images[0], num_samples=50)
    """
    if seed < 0:
        raise UserError(f"seed is {seed}; it must not be negative")
    explainer = create_explainer(method, **options)
    if isinstance(image, str | Path):
        rules = predictor.preprocessing.pixels if isinstance(predictor, Predictor) else None
        pixels = read_picture(str(image), rules or DEFAULT_RULES)
    else:
        pixels = as_uint8(np.asarray(image)[None])[0]
    network, prepared = _prepared(predictor, pixels, class_names)
    return explain_prepared(
        network,
        prepared,
        explainer,
        scene_builder or SceneBuilder(),
        rule=_rule(target, contrast, network.class_names),
        seed=seed,
        original=pixels,
    )


def explain_prepared(
    network: Network,
    image: UInt8[np.ndarray, "H W 3"],
    explainer: Explainer,
    scene_builder: SceneBuilder,
    *,
    rule: TargetRule | None = None,
    true_class: str | None = None,
    seed: int = 0,
    original: UInt8[np.ndarray, "h w 3"] | None = None,
) -> ImageExplanation:
    """Explains an image of the network's input size.

    The seed of superpixels and perturbations is derived from `seed` and the pixels
    (:func:`image_seed`).

    Args:
      network: to explain.
      image: its input.
      explainer: the method.
      scene_builder: superpixels and infill.
      rule: which class; None for the predicted one.
      true_class: of the image, if known.
      seed: of the run.
      original: the image before it was resized.

    Raises:
      UserError: the rule does not fit the image.
    """
    rule = rule or TargetRule()
    probabilities = network.predict_proba(image[None])[0]
    target = rule.of_image(probabilities, network.class_names, true_class)
    own_seed = image_seed(seed, image)
    scene = scene_builder.scene(image, own_seed)
    explanation = explainer.explain(scene, target.view(network), target.class_index, own_seed)
    return ImageExplanation(
        **vars(explanation),
        image=image,
        probabilities=probabilities,
        class_names=network.class_names,
        method=explainer.name,
        score=rule.score(explainer.score),
        against=target.against,
        original=original,
    )


def image_seed(seed: int, image: UInt8[np.ndarray, "H W 3"]) -> int:
    """The seed of one image, in [0, 2**31): a hash of the run's seed and the image's pixels."""
    return int(sha256(f"{seed} {image.shape} ", image.tobytes())[:8], 16) >> 1


def _prepared(
    predictor: Predictor | Network | PredictFunction,
    pixels: UInt8[np.ndarray, "h w 3"],
    class_names: Sequence[str] | None,
) -> tuple[Network, UInt8[np.ndarray, "H W 3"]]:
    """The network to explain, and the image as its input."""
    if isinstance(predictor, Predictor | Network):
        if class_names is not None:
            raise UserError("class_names are for a function; a network has its own: leave them out")
        network = _network(predictor) if isinstance(predictor, Predictor) else predictor
        return network, resize(pixels, network.image_size)
    plain = Network.from_function(
        predictor, class_names=class_names or (), image_size=max(pixels.shape)
    ).in_batches()
    classes = plain.predict_proba(pixels[None]).shape[1]
    if class_names is None:
        plain = replace(plain, class_names=[str(index) for index in range(classes)])
    elif len(class_names) != classes:
        raise UserError(f"{len(class_names)} class_names are given for {classes} outputs")
    return plain, pixels


@lru_cache(maxsize=1)
def _network(predictor: Predictor) -> Network:
    """The predictor as the explainers query it; kept, as its gradients are compiled once."""
    return network_of(predictor.in_float32())


def _rule(
    target: str | SupportsIndex | None,
    contrast: str | SupportsIndex | None,
    class_names: Sequence[str],
) -> TargetRule:
    """The rule that `target` and `contrast` stand for."""
    rule = TargetRule.parse(target, class_names) if isinstance(target, str) else TargetRule()
    if target is not None and not isinstance(target, str):
        rule = replace(rule, of=_index(target))
    if contrast is not None:
        if rule.against is not None:
            raise UserError(f"{target!r} is a contrast already; leave out contrast={contrast!r}")
        rule = replace(rule, against=contrast if isinstance(contrast, str) else _index(contrast))
    rule.require_known(class_names)
    return rule


def _index(value: SupportsIndex) -> int:
    """The number of a class: an integer, NumPy's included."""
    try:
        return operator.index(value)
    except TypeError as error:
        raise UserError(f"{value!r} is no class; give its name or number") from error
