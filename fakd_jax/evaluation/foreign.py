"""Foreign and poor images among those evaluated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.splits import Split
from fakd_jax.errors import DamagedError, UserError
from fakd_jax.evaluation.setup import Setup, predict
from fakd_jax.inference.adapter import weights_sha256
from fakd_jax.inference.predictor import Predictor
from fakd_jax.metrics.predictions import Predictions
from fakd_jax.metrics.resampling import proportion
from fakd_jax.reference.find import find_reference
from fakd_jax.reference.reference import Reference
from fakd_jax.runs.own_split import own_split

Log = Callable[[str], object]


def open_reference(
    predictor: Predictor, setup: Setup, log: Log
) -> tuple[Reference | None, list[str]]:
    """What the training images look like to the network: found, or else fitted.

    Args:
      predictor: the checkpoint's, its outputs in the checkpoint's order.
      setup: the images to evaluate, and the run whose training images are known.
      log: called with lines for the user.

    Returns:
      None if it is unknown, and notes on why.
    """
    try:
        known = find_reference(predictor.checkpoint, predictor.metadata, weights_sha256(predictor))
    except DamagedError as error:
        log(f"evaluation: {error}")
        known = None
    if known is not None:
        return known, []
    unknown = "foreign and poor images are not named"
    dataset = setup.dataset if setup.external is None else setup.external.training_data
    own = own_split(dataset, setup.workdir) if dataset is not None else None
    if dataset is None or own is None or not (own.knows("train") and own.knows("val")):
        return None, [f"{unknown}: the images that the network was trained on are not at hand"]
    try:
        return _fit(predictor, dataset, own.found, log), []
    except UserError as error:
        return None, [f"{unknown}: {error}"]


def _fit(
    predictor: Predictor,
    dataset: ImageDataset,
    split: Split,
    log: Log,
) -> Reference:
    """Fits a reference to a run's images behind a progress bar."""
    from tqdm import tqdm

    from fakd_jax.reference.fit import MAX_IMAGES, fit_reference

    used = min(len(split.train), MAX_IMAGES)
    log(f"reference: {used:,} training and {len(split.val):,} validation images")
    total = used + len(split.val)
    # disable=None: no bar where the output is not a terminal.
    with tqdm(total=total, desc="reference", unit=" images", leave=False, disable=None) as bar:
        return fit_reference(
            predictor,
            dataset,
            split.train,
            split.val,
            groups=split.groups,
            on_images=bar.update,
        )


@dataclass
class Assessment:
    """Judges the images evaluated, in the pass that predicts their classes.

    Attributes:
      setup: the images evaluated.
      reference: what they are judged by.
      scores: how foreign each image is, in the order evaluated.
      quality: what is amiss with each; "" if nothing is.
    """

    setup: Setup
    reference: Reference
    scores: list[float] = field(default_factory=list)
    quality: list[str] = field(default_factory=list)

    def predict(
        self, predictor: Predictor, dataset: ImageDataset, ids: Sequence[str], description: str
    ) -> Predictions:
        """As :func:`fakd_jax.evaluation.setup.predict`; judges the images if they are evaluated."""
        evaluated = dataset is self.setup.dataset and ids == self.setup.images.ids
        return predict(predictor, dataset, ids, description, self._judge if evaluated else None)

    def _judge(self, images: np.ndarray, features: Float32[np.ndarray, "B D"]) -> None:
        self.scores += self.reference.foreign_scores(features).tolist()
        self.quality += self.reference.quality(list(images))

    @property
    def foreign(self) -> Bool[np.ndarray, " N"]:
        """Which images are foreign."""
        return self.reference.is_foreign(np.array(self.scores, np.float32))

    def record(self, wrong: Bool[np.ndarray, " N"]) -> dict[str, Any]:
        """`foreign_and_poor` of `metrics.json`.

        Args:
          wrong: which images are misclassified.
        """
        foreign, poor = self.foreign, np.array([bool(reasons) for reasons in self.quality])
        reasons = Counter(reason for text in self.quality if text for reason in text.split("; "))
        return {
            "foreign": proportion(int(foreign.sum()), len(foreign))
            | {
                "wrong": int((foreign & wrong).sum()),
                "threshold": self.reference.foreign_threshold,
            },
            "poor": proportion(int(poor.sum()), len(poor))
            | {"wrong": int((poor & wrong).sum()), "reasons": dict(reasons.most_common())},
            "fitted": dict(self.reference.fitted),
        }
