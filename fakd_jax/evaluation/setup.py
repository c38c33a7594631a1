"""The network and the images of an evaluation, and predictions for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fakd_jax.data.appearance import Appearance
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.pipeline import Batch, ImageSource, eval_batches
from fakd_jax.errors import UserError
from fakd_jax.evaluation.external import External, is_external, look_for_copies, without_copies
from fakd_jax.inference.predictor import Predictor, softmax
from fakd_jax.metrics.predictions import Predictions
from fakd_jax.models.checkpoint import load_metadata, resolve_checkpoint
from fakd_jax.runs.learnt_images import find_learnt_images
from fakd_jax.runs.own_split import SplitIds, choose_ids
from fakd_jax.runs.workdir import data_cache_dir, default_output, open_data, trained_dtype

SPLITS = ("test", "val", "train")
Log = Callable[[str], object]
Observe = Callable[[np.ndarray, np.ndarray], object]
"""Called with images of the network's input size, uint8 `[B, S, S, 3]`, and their features."""


@dataclass(frozen=True)
class Setup:
    """The network and the images of an evaluation.

    Attributes:
      workdir: of the run that trained the network, if there is one.
      dataset: the data, with the classes that the network predicts.
      split: "test", "val" or "train".
      images: the images of the split.
      cache_dir: where prepared data and audits are kept; None for the user's own.
      external: what is known about copies of images learnt from; None for the run's own data.
    """

    predictor: Predictor
    workdir: Path | None
    dataset: ImageDataset
    split: str
    images: SplitIds
    cache_dir: Path | str | None
    external: External | None = None

    @property
    def images_name(self) -> str:
        """A name for images other than the run's own test images; "" for these."""
        data, split = self.dataset, "" if self.split == "test" else self.split
        known = "" if self.external is None else f"{data.name}-{data.fingerprint[:8]}"
        return re.sub(r"[^\w.-]+", "_", "-".join(filter(None, (known, split))))

    @property
    def folder(self) -> Path:
        """Where a report belongs that is not to lie elsewhere."""
        return default_output(self.predictor.checkpoint, self.workdir, self.images_name)


def require_split(split: str) -> None:
    """Refuses a split that does not exist.

    Raises:
      UserError: it is none of "test", "val" and "train".
    """
    if split not in SPLITS:
        raise UserError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}")


def open_predictor(
    checkpoint: Path | str,
    *,
    batch_size: int | None = None,
    dtype: str | None = None,
    allow_untrained: bool = False,
) -> Predictor:
    """Opens a checkpoint; batch size and precision are the training's unless given.

    Raises:
      UserError: see :meth:`fakd_jax.inference.predictor.Predictor.from_checkpoint`.
    """
    folder = resolve_checkpoint(checkpoint)
    metadata = load_metadata(folder)
    trained_with = metadata.get("config") or {}
    return Predictor.from_checkpoint(
        folder,
        batch_size=trained_with.get("eval_batch_size", 32) if batch_size is None else batch_size,
        dtype=dtype or trained_dtype(metadata),
        allow_untrained=allow_untrained,
    )


def open_setup(
    predictor: Predictor,
    workdir: Path | None,
    *,
    source: str | None,
    split: str,
    cache_dir: Path | str | None,
    class_map: str = "",
    window: str = "",
    training_data: str | None = None,
    log: Log,
) -> Setup:
    """Opens the data given, or else the training data, and finds the images of the split.

    A network whose classes are in another order than the data's gives its outputs in the data's.
    Of data that it was not trained on, copies of images it has learnt from are left out.

    Raises:
      UserError: no such data or split, or classes other than the network's; or see
        :func:`fakd_jax.evaluation.external.look_for_copies`.
    """
    dataset = open_data(
        predictor.metadata,
        source,
        cache_dir=cache_dir,
        class_map=class_map,
        window=window,
        log=log,
    )
    if sorted(dataset.class_names) != sorted(predictor.class_names):
        raise UserError(
            f"the data's classes are {', '.join(dataset.class_names)}, the checkpoint's "
            f"{', '.join(predictor.class_names)}; give data with the checkpoint's classes"
        )
    if tuple(dataset.class_names) != predictor.class_names:
        log(f"evaluation: outputs in the data's order of classes, {', '.join(dataset.class_names)}")
        predictor = predictor.with_class_order(dataset.class_names)
    images = choose_ids(dataset, split, workdir, predictor.metadata)
    external, kept_in = None, data_cache_dir(predictor.metadata, cache_dir)
    if is_external(dataset, images, predictor.metadata):
        external = look_for_copies(
            dataset,
            images,
            predictor.metadata,
            find_learnt_images(predictor.checkpoint, predictor.metadata, dataset),
            training_data=training_data,
            cache_dir=kept_in,
            log=log,
        )
        images = without_copies(images, external)
    if images.note:
        log(f"evaluation: {images.note}")
    known, size = Appearance.of_training(predictor.metadata), predictor.preprocessing.image_size
    if known and (unlike := known.describe_unlike(dataset, images.ids, size)):
        log(f"evaluation: {unlike}")
        images = replace(images, note="; ".join(filter(None, [images.note, unlike])))
    return Setup(predictor, workdir, dataset, split, images, kept_in, external)


def predict(
    predictor: Predictor,
    dataset: ImageDataset,
    ids: Sequence[str],
    description: str,
    observe: Observe | None = None,
) -> Predictions:
    """Predictions for the images, in their order, behind a progress bar with the description.

    Raises:
      UserError: `observe` is given, and the network's features are unknown.
    """
    from tqdm import tqdm

    # disable=None: no bar where the output is not a terminal.
    with tqdm(total=len(ids), desc=description, unit=" images", leave=False, disable=None) as bar:
        return predict_batches(predictor, dataset, ids, on_images=bar.update, observe=observe)


def predict_batches(
    predictor: Predictor,
    dataset: ImageSource,
    ids: Sequence[str],
    *,
    alter: Callable[[Batch], np.ndarray] | None = None,
    on_images: Callable[[int], object] | None = None,
    observe: Observe | None = None,
) -> Predictions:
    """Predictions for images, in their order.

    Args:
      predictor: the network.
      dataset: has the images.
      ids: of the images.
      alter: from a batch of :func:`fakd_jax.data.pipeline.eval_batches` to the images to predict
        instead, uint8 `[B, S, S, 3]`; None for those of the data.
      on_images: called after each batch with its number of images.
      observe: called for each batch.

    Raises:
      UserError: `observe` is given, and the network's features are unknown.
    """
    logits, labels = [], []
    side, batch_size = predictor.preprocessing.image_size, predictor.batch_size
    for batch in eval_batches(dataset, ids, batch_size=batch_size, image_size=side):
        mask = np.asarray(batch["mask"])
        images = batch["image"] if alter is None else alter(batch)
        if observe is None:
            logits.append(predictor.logits_of_batch(images)[mask])
        else:
            features, of_batch = predictor.features_and_logits(images)
            logits.append(of_batch[mask])
            observe(images[mask], features[mask])
        labels.append(np.asarray(batch["label"])[mask])
        if on_images is not None:
            on_images(int(mask.sum()))
    all_logits = np.concatenate(logits)
    return Predictions(tuple(ids), all_logits, softmax(all_logits), np.concatenate(labels))
