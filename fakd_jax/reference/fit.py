"""Fits a reference to the images that a network was trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float32

from fakd_jax.data.appearance import Appearance
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.pipeline import eval_batches
from fakd_jax.errors import UserError
from fakd_jax.inference.adapter import weights_sha256
from fakd_jax.inference.predictor import Predictor
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
      max_images: of the training images are used, drawn at random.
      seed: of that draw.
      on_images: called with the number of images just computed.

    Raises:
      UserError: too few images, or see
        :meth:`fakd_jax.inference.predictor.Predictor.features_and_logits`.
    """
    least = least_images(FALSE_REJECTIONS)
    if len(train_ids) < LEAST_IMAGES or len(val_ids) < least:
        raise UserError(
            f"{len(train_ids):,} training and {len(val_ids):,} validation images are too few to "
            f"know foreign images by; {LEAST_IMAGES} and {least} are needed"
        )
    drawn = np.random.default_rng(seed).permutation(len(train_ids))[:max_images]
    fitted_on = [train_ids[index] for index in sorted(drawn.tolist())]
    size = predictor.preprocessing.image_size
    appearance = Appearance.of_training(predictor.metadata)
    appearance = appearance or Appearance.of(dataset, fitted_on, size)
    features, measured = _features(predictor, dataset, fitted_on, on_images, measured=True)
    validation, _ = _features(predictor, dataset, val_ids, on_images, measured=False)
    subspace = FeatureSubspace.of(features)
    return Reference(
        weights_sha256(predictor),
        subspace,
        tolerance_threshold(subspace.scores(validation), FALSE_REJECTIONS),
        QualityLimits.of(measured, appearance, size),
        {
            "score": "distance of normalised features from their principal subspace",
            "features": features.shape[1],
            "directions": subspace.directions.shape[1],
            "training_images": len(fitted_on),
            "validation_images": len(val_ids),
            "rule": f"at most {FALSE_REJECTIONS:.0%} of images of the same kind exceed it, "
            f"with {CONFIDENCE:.0%} confidence",
            "seed": seed,
            "data_fingerprint": dataset.fingerprint,
            "dtype": predictor.dtype,
            "package_version": __version__,
        },
    )


def _features(
    predictor: Predictor,
    dataset: ImageDataset,
    ids: Sequence[str],
    on_images: OnImages | None,
    *,
    measured: bool,
) -> tuple[Float32[np.ndarray, "N D"], list[Measured]]:
    """The features of images, and their quality if it is to be `measured`."""
    features, found = [], []
    side, batch_size = predictor.preprocessing.image_size, predictor.batch_size
    for batch in eval_batches(dataset, ids, batch_size=batch_size, image_size=side):
        mask = np.asarray(batch["mask"])
        features.append(predictor.features_and_logits(batch["image"])[0][mask])
        if measured:
            found += [measure(image) for image in batch["image"][mask]]
        if on_images is not None:
            on_images(int(mask.sum()))
    return np.concatenate(features), found
