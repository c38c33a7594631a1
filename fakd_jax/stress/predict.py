"""The first step of a stress test: a network's predictions under every condition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float32, Int, UInt8, UInt32

from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.pipeline import Batch, CachedImages
from fakd_jax.evaluation.collect import Collected, collect
from fakd_jax.evaluation.setup import Setup, predict, predict_batches
from fakd_jax.inference.predictor import Predictor, softmax
from fakd_jax.metrics.classification import check_predictions
from fakd_jax.metrics.predictions import Predictions
from fakd_jax.runtime.hashing import sha256
from fakd_jax.stress.conditions import Condition
from fakd_jax.stress.journal import Journal
from fakd_jax.stress.shifting import Shift, image_words

Log = Callable[[str], object]


@dataclass(frozen=True)
class Stressed:
    """A network's predictions for the same images under every condition.

    Attributes:
      collected: of the images as they are, with what is known about them.
      predictions: by condition; those of the images as they are come first.
    """

    collected: Collected
    predictions: Mapping[Condition, Predictions]


def predict_conditions(
    setup: Setup,
    conditions: Sequence[Condition],
    shifts: Mapping[str, Shift],
    journal: Journal,
    *,
    seed: int,
    calibration: bool,
    log: Log,
    on_condition: Callable[[Condition, Predictions, bool], None],
    on_images: Callable[[int], object],
) -> Stressed:
    """Predicts the images as they are and under every shift, or finds them in the journal.

    Images are resized to the network's input first, then shifted, rounded to 8 bits and
    normalised.

    Args:
      setup: the network and the images.
      conditions: the images as they are first, then family by family.
      shifts: of the families, by name.
      journal: of the network.
      seed: of all random choices.
      calibration: whether to predict the validation images too.
      log: called with lines for the user.
      on_condition: called after each condition with its predictions, and whether they were made
        before.
      on_images: called with the number of images just shifted and predicted.

    Raises:
      UserError: the network's output is not finite, or the journal cannot be written.
    """
    predictor, dataset, ids = setup.predictor, setup.dataset, setup.images.ids

    def known_or_predicted(
        predictor: Predictor, dataset: ImageDataset, ids: Sequence[str], description: str
    ) -> Predictions:
        contents = list(dataset.contents(ids).values())
        name = f"unshifted-{sha256(*contents)[:12]}"
        labels = np.array([dataset.examples[dataset.index_of(id)].label for id in ids], np.int32)
        known = journal.load(name, contents, None)
        if known is not None:
            return _predictions(ids, known, labels)
        made = predict(predictor, dataset, ids, description)
        journal.save(name, contents, None, made.logits)
        return made

    collected = collect(
        setup, calibration=calibration, compare=None, log=log, predict=known_or_predicted
    )
    clean, negative = collected.predictions, collected.negative_class
    check_predictions(clean, collected.class_names, negative)
    found = {conditions[0]: clean}
    on_condition(conditions[0], clean, True)
    images = CachedImages(dataset, predictor.preprocessing.image_size)
    words = image_words([example.content for example in dataset.examples])
    contents = list(dataset.contents(ids).values())
    for condition in conditions[1:]:
        facts = {"family": condition.family, "amount": condition.amount, "seed": seed}
        logits = journal.load(condition.name, contents, facts)
        if known := logits is not None:
            made = _predictions(ids, logits, clean.labels)
        else:
            alter = partial(_alter, shifts[condition.family], words, condition.amount)
            made = predict_batches(predictor, images, ids, alter=alter, on_images=on_images)
            check_predictions(made, collected.class_names, negative)
            journal.save(condition.name, contents, facts, made.logits)
        found[condition] = made
        on_condition(condition, made, known)
    return Stressed(collected, found)


def _alter(
    shift: Shift, words: UInt32[np.ndarray, "N 2"], amount: float, batch: Batch
) -> UInt8[np.ndarray, "B S S 3"]:
    """Shifts a batch of the pipeline."""
    amounts = np.full(len(batch["image"]), amount, np.float32)
    return np.asarray(shift(batch["image"], words[batch["index"]], amounts))


def _predictions(
    ids: Sequence[str], logits: Float32[np.ndarray, "N C"], labels: Int[np.ndarray, " N"]
) -> Predictions:
    return Predictions(tuple(ids), logits, softmax(logits), labels)
