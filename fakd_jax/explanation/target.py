"""What is explained: one class of an image, or one class rather than another.

A contrast explains log p_A - log p_B, the log-odds of class A against class B. After a softmax that
is the difference of their logits, z_A - z_B: no third class changes it, and it does not saturate
where p_A is near 1. The difference of the probabilities does both: it falls where a third class
gains, whatever the image says of A and B, and hides which evidence a certain network could spare.

So methods that query probabilities and methods that take gradients of logits explain the same
quantity in the same unit, each as it explains a single class: a contrast is a view of the network,
:func:`contrasted`, and no method knows of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from fakd_jax.errors import UserError
from fakd_jax.explanation.result import Score
from fakd_jax.inference.network import Gradients, Network, PredictFunction

PREDICTED, RUNNER_UP, TRUE = "predicted", "runner-up", "true"
ROLES = (PREDICTED, RUNNER_UP, TRUE)
"""Words for a class that differs between images; a class of the same name goes first."""


@dataclass(frozen=True)
class Target:
    """What is explained of one image.

    Attributes:
      class_index: the class.
      against: the class that it is contrasted with, another one; None for no contrast.
    """

    class_index: int
    against: int | None = None

    def view(self, network: Network) -> Network:
        """The network with what is explained as its output for the class."""
        return network if self.against is None else contrasted(network, self.against)


@dataclass(frozen=True)
class TargetRule:
    """Which class of each image is explained.

    Attributes:
      of: a class by name or index, or one of :data:`ROLES`.
      against: likewise, what it is contrasted with; None for no contrast.
    """

    of: str | int = PREDICTED
    against: str | int | None = None

    @classmethod
    def parse(cls, text: str, class_names: Sequence[str]) -> TargetRule:
        """Reads `A` or `A:B`, where A and B are classes or roles.

        Raises:
          UserError: no such class or role, or both are the same.
        """
        first, colon, second = text.partition(":")
        rule = cls(text) if text in class_names or not colon else cls(first, second)
        rule.require_known(class_names)
        return rule

    def __str__(self) -> str:
        """As :meth:`parse` reads it."""
        return str(self.of) if self.against is None else f"{self.of}:{self.against}"

    def require_known(self, class_names: Sequence[str]) -> None:
        """Refuses what no image could have.

        Raises:
          UserError: no such class or role, or a class against itself.
        """
        for wanted in (self.of, self.against):
            if wanted is not None and wanted not in ROLES:
                _named(wanted, class_names)
        if self.of == self.against:
            raise UserError(f"{self.of!r} cannot be contrasted with itself; name another class")

    def score(self, of_method: Score | None) -> Score | None:
        """What is explained by a method that explains `of_method` of a single class."""
        return of_method if of_method is None or self.against is None else "log-odds"

    def of_image(
        self,
        probabilities: Float[np.ndarray, " C"],
        class_names: Sequence[str],
        true_class: str | None = None,
    ) -> Target:
        """The classes of one image.

        Args:
          probabilities: predicted for it.
          class_names: of the C classes.
          true_class: if known.

        Raises:
          UserError: as :meth:`require_known`; or the image's true class is asked for and unknown,
            or its classes are the same.
        """

        def index(wanted: str | int) -> int:
            if wanted in class_names or wanted not in ROLES:
                return _named(wanted, class_names)
            if wanted == TRUE:
                if true_class is None:
                    raise UserError(
                        "the true class of this image is not known: name a class, or take images "
                        "with --data"
                    )
                return _named(true_class, class_names)
            order = np.argsort(-probabilities, kind="stable")  # ties go to the first class
            if wanted == RUNNER_UP and len(order) < 2:
                raise UserError("a network of a single class has no runner-up")
            return int(order[1 if wanted == RUNNER_UP else 0])

        target = Target(index(self.of), None if self.against is None else index(self.against))
        if target.class_index == target.against:
            raise UserError(
                f"{self} is {class_names[target.class_index]} twice for this image; "
                f"{PREDICTED}:{RUNNER_UP} always differ"
            )
        return target


def contrasted(network: Network, against: int) -> Network:
    """The network whose output for each class is its log-odds against one class.

    For probabilities ``[N, C]`` its functions return log p_c - log p_against, for logits
    z_c - z_against, and for the gradient of a logit that of the difference.
    """

    def log_odds(predict: PredictFunction) -> PredictFunction:
        return lambda rows: _log_odds(predict(rows), against)

    return replace(
        network,
        predict_proba=log_odds(network.predict_proba),
        prepare_masked=lambda *scene: log_odds(network.prepare_masked(*scene)),
        predict_blended=lambda image, replacement, opacity: _log_odds(
            network.predict_blended(image, replacement, opacity), against
        ),
        gradients=network.gradients and _contrasted_gradients(network.gradients, against),
    )


def _contrasted_gradients(own: Gradients, against: int) -> Gradients:
    """The gradients of z_c - z_against."""

    def wrt_pixels(images: np.ndarray, index: int, like: np.ndarray) -> np.ndarray:
        return own.wrt_pixels(images, index, like) - own.wrt_pixels(images, against, like)

    def wrt_features(image: np.ndarray, index: int, layer: str) -> tuple[np.ndarray, np.ndarray]:
        features, gradient = own.wrt_features(image, index, layer)
        return features, gradient - own.wrt_features(image, against, layer)[1]

    def logits(images: np.ndarray, like: np.ndarray) -> np.ndarray:
        values = own.logits(images, like)
        return values - values[:, [against]]

    return Gradients(wrt_pixels, wrt_features, own.layers, logits)


def _log_odds(probabilities: Float[np.ndarray, "N C"], against: int) -> Float[np.ndarray, "N C"]:
    """The log-odds of each class against one, log p_c - log p_against, row by row.

    Raises:
      UserError: a probability is 0, so that log-odds are infinite.
    """
    if not (probabilities > 0).all():
        raise UserError(
            "the network gives a class a probability of 0, against which log-odds are infinite: "
            "explain one class without a contrast, or let predict_proba return at least 1e-6"
        )
    logarithms = np.log(probabilities.astype(np.float64))
    return logarithms - logarithms[:, [against]]


def _named(wanted: str | int, class_names: Sequence[str]) -> int:
    """The index of a class.

    Raises:
      UserError: there is no such class.
    """
    names = list(class_names)
    if isinstance(wanted, str) and wanted in names:
        return names.index(wanted)
    if isinstance(wanted, int) and 0 <= wanted < len(names):
        return wanted
    raise UserError(
        f"there is no class {wanted!r}; choose one of {', '.join(names)}, or {', '.join(ROLES)}"
    )
