"""What the service answers: a prediction, an explanation, and what neither of them says."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fakd_jax.data.appearance import Appearance
from fakd_jax.data.preprocessing import resize
from fakd_jax.errors import UserError
from fakd_jax.explanation.api import explain_image
from fakd_jax.explanation.methods.registry import METHODS
from fakd_jax.explanation.report.attribution import layer
from fakd_jax.inference.adapter import weights_sha256
from fakd_jax.inference.predictor import Predictor, softmax
from fakd_jax.reference.find import find_reference
from fakd_jax.runs.decision import Decision, find_decision

EXPLANATION_METHODS = tuple(METHODS)
QUICK_METHODS = ("occlusion", "hires-cam", "grad-cam")
"""Those that answer within seconds come first on the page."""


@dataclass(frozen=True)
class Answer:
    """What the network says of an image.

    Attributes:
      probabilities: by class, after temperature scaling where a temperature is known.
      prediction: the most probable class.
      abstained: whether the network is too uncertain to answer; None if no threshold is known.
      calibrated: whether a temperature is known.
      foreign: whether the image is unlike the training images to the network; None if what these
        look like to it is not known.
      quality: what is amiss with the picture; "" if nothing is, None if unknown.
    """

    probabilities: Mapping[str, float]
    prediction: str
    abstained: bool | None
    calibrated: bool
    foreign: bool | None
    quality: str | None

    @property
    def sentence(self) -> str:
        """For a reader: what the answer says, and what it does not."""
        share = f"{100 * self.probabilities[self.prediction]:.1f} %"
        if self.abstained:
            text = f"Not sure: {self.prediction} is the most probable class, at {share}, but the "
            text += "network's own confidence is below what it needs for an answer."
        else:
            text = f"The network's answer is {self.prediction}, at {share}."
        amiss = ["not like the training images"] * bool(self.foreign)
        amiss += [self.quality] if self.quality else []
        if amiss:
            text += f" Do not rely on it: this image is {', '.join(amiss)}."
        if not self.calibrated:
            text += " These probabilities are not calibrated."
        return text


@dataclass(frozen=True)
class Explained:
    """Where an explanation sees evidence, over the image at its own size.

    Attributes:
      layer: RGBA of the image's size, to be laid over it: orange speaks for the class, blue
        against it.
      method: its name.
      target: the class.
      sentence: for a reader.
    """

    layer: UInt8[np.ndarray, "H W 4"]
    method: str
    target: str
    sentence: str


class Service:
    """A network with all that answering needs; one computation at a time.

    Attributes:
      predictor: the network, of float32.
      decision: its temperature and threshold.
      reference: what its training images look like; None if that is not known.
    """

    def __init__(self, predictor: Predictor) -> None:
        """Wraps an opened network.

        Raises:
          UserError: the settings stored with it are damaged.
        """
        self.predictor = predictor
        found = find_decision(predictor.checkpoint, predictor.metadata, self.weights)
        self.decision = found or Decision()
        self.reference = find_reference(predictor.checkpoint, predictor.metadata, self.weights)
        self._appearance = Appearance.of_training(predictor.metadata)
        self._lock = threading.Lock()

    @classmethod
    def open(cls, checkpoint: Path | str) -> Service:
        """Opens a checkpoint or bundle, to answer single images in float32.

        Raises:
          UserError: see :meth:`Predictor.from_checkpoint`.
        """
        return cls(Predictor.from_checkpoint(checkpoint, batch_size=16, dtype="float32"))

    @cached_property
    def weights(self) -> str:
        """The digest of the network's weights."""
        return weights_sha256(self.predictor)

    def warm_up(self) -> None:
        """Compiles what a prediction needs, so that the first one is not slow."""
        side = self.predictor.preprocessing.image_size
        self.answer(np.zeros((side, side, 3), np.uint8))

    def answer(self, picture: UInt8[np.ndarray, "H W 3"]) -> Answer:
        """Predicts the class of an image."""
        predictor, decision = self.predictor, self.decision
        small = resize(picture, predictor.preprocessing.image_size)
        with self._lock:
            features, logits = predictor.features_and_logits(small[None])
        probabilities = softmax(logits / (decision.temperature or 1.0))[0]
        names = predictor.class_names
        threshold = decision.reject_threshold
        confidence = float(softmax(logits)[0].max())
        foreign = quality = None
        if self.reference is not None:
            foreign = bool(self.reference.is_foreign(self.reference.foreign_scores(features))[0])
            quality = self.reference.quality([picture])[0]
        elif self._appearance is not None:  # a checkpoint alone knows less
            quality = self._appearance.difference(small)
        return Answer(
            dict(zip(names, map(float, probabilities), strict=True)),
            names[int(probabilities.argmax())],
            None if threshold is None else confidence < threshold,
            decision.temperature is not None,
            foreign,
            quality,
        )

    def explain(
        self, picture: UInt8[np.ndarray, "H W 3"], method: str, target: str | None
    ) -> Explained:
        """Explains one class of an image.

        Args:
          picture: the image.
          method: one of `EXPLANATION_METHODS`.
          target: a class; None for the predicted one.

        Raises:
          UserError: an unknown method or class.
        """
        if method not in EXPLANATION_METHODS:
            known = ", ".join(EXPLANATION_METHODS)
            raise UserError(f"unknown method {method!r}; choose one of {known}")
        with self._lock:
            made = explain_image(self.predictor, picture, method=method, target=target)
        evidence = layer(made.attribution_of_original())
        return Explained(evidence, method, made.target, made.reading())
