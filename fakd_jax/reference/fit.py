"""Fits a reference to the images that a network was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float32, UInt8

from fakd_jax.data.appearance import Appearance
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.pipeline import eval_batches
from fakd_jax.errors import UserError
from fakd_jax.inference.adapter import weights_sha256
from fakd_jax.inference.predictor import Predictor
from fakd_jax.metrics.resampling import group_numbers
from fakd_jax.reference.foreign import (
    CONFIDENCE,
    FeatureSubspace,
    least_images,
    tolerance_threshold,
)
from fakd_jax.reference.quality import Measured, QualityLimits, measure
from fakd_jax.reference.reference import Reference
from fakd_jax.version import __version__

MAX_IMAGES = 2_000
"""Of more training images, as many are drawn at random."""

LEAST_IMAGES = 20
"""Fewer training images say too little."""

FALSE_REJECTIONS = 0.05
"""At most this share of images like the validation images is to be taken for foreign."""

OnImages = Callable[[int], object]


def fit_reference(
    predictor: Predictor,
    dataset: ImageDataset,
    train_ids: Sequence[str],
    val_ids: Sequence[str],
    *,
    groups: Mapping[str, int] | None = None,
    max_images: int = MAX_IMAGES,
    seed: int = 0,
    on_images: OnImages | None = None,
) -> Reference:
    """Fits scores and limits to training images, and chooses the threshold on validation images.

    Deterministic: equal arguments give the same reference.

    Args:
      predictor: the network.
      dataset: has the images.
      train_ids: that it was trained on.
      val_ids: that it was not trained on, of the same kind.
      groups: the group by id of validation images that resemble others, such as duplicates; an id
        that it lacks is alone.
      max_images: of the training images are used, drawn at random.
      seed: of that draw.
      on_images: called with the number of images just computed.

    Raises:
      UserError: too few images, or see
        :meth:`fakd_jax.inference.predictor.Predictor.features_and_logits`.
    """
    least = least_images(FALSE_REJECTIONS)
    too_few = UserError(
        f"{len(train_ids):,} training and {len(val_ids):,} validation images are too few to "
        f"know foreign images by; {LEAST_IMAGES} and {least} independent ones are needed"
    )
    if len(train_ids) < LEAST_IMAGES or len(val_ids) < least:
        raise too_few
    fitted_on = draw(train_ids, max_images, seed)
    measured: list[Measured] = []

    def observe(images: UInt8[np.ndarray, "n S S 3"]) -> None:
        measured.extend(map(measure, images))

    features = _features(predictor, dataset, fitted_on, on_images, observe)
    validation = _features(predictor, dataset, val_ids, on_images)
    size, appearance = (
        predictor.preprocessing.image_size,
        Appearance.of_training(predictor.metadata),
    )
    appearance = appearance or Appearance.of(dataset, fitted_on, size)
    subspace = FeatureSubspace.of(features)
    units = group_numbers(val_ids, groups or {})
    try:
        threshold = tolerance_threshold(subspace.scores(validation), FALSE_REJECTIONS, units=units)
    except ValueError as error:
        raise too_few from error
    return Reference(
        weights_sha256(predictor),
        subspace,
        threshold,
        QualityLimits.of(measured, appearance, size),
        {
            "score": "distance of normalised features from their principal subspace",
            "features": features.shape[1],
            "directions": subspace.directions.shape[1],
            "training_images": len(fitted_on),
            "validation_images": len(val_ids),
            "validation_groups": len(np.unique(units)),
            "rule": f"at most {FALSE_REJECTIONS:.0%} of images of the same kind exceed it, "
            f"with {CONFIDENCE:.0%} confidence",
            "seed": seed,
            "data_fingerprint": dataset.fingerprint,
            "dtype": predictor.dtype,
            "package_version": __version__,
        },
    )


def draw(ids: Sequence[str], most: int, seed: int) -> list[str]:
    """At most so many of the ids, drawn at random, in their order."""
    chosen = np.random.default_rng(seed).permutation(len(ids))[:most]
    return [ids[index] for index in sorted(chosen.tolist())]


def _features(
    predictor: Predictor,
    dataset: ImageDataset,
    ids: Sequence[str],
    on_images: OnImages | None,
    observe: Callable[[np.ndarray], object] | None = None,
) -> Float32[np.ndarray, "N D"]:
    """The features of images; `observe` is called with those of each batch."""
    features = []
    side, batch_size = predictor.preprocessing.image_size, predictor.batch_size
    for batch in eval_batches(dataset, ids, batch_size=batch_size, image_size=side):
        mask = np.asarray(batch["mask"])
        features.append(predictor.features_and_logits(batch["image"])[0][mask])
        if observe is not None:
            observe(batch["image"][mask])
        if on_images is not None:
            on_images(int(mask.sum()))
    return np.concatenate(features)
