"""From a dataset and a list of example ids to uint8 batches, through a grain chain.

Augmentation and normalisation come later, on the device (:mod:`fakd_jax.data.augment`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from fakd_jax.data.preprocessing import resize
from fakd_jax.errors import UserError

if TYPE_CHECKING:
    import grain

Batch = dict[str, np.ndarray]

MAX_THREADS = 16
BATCHES_AHEAD_PER_THREAD = 2


@runtime_checkable
class LabelledExample(Protocol):
    """What the pipeline asks of one example: its class as an index."""

    @property
    def label(self) -> int:
        """Index of the class."""


@runtime_checkable
class ImageSource(Protocol):
    """What the pipeline asks of a dataset; `ImageDataset` and :class:`CachedImages` have it."""

    @property
    def examples(self) -> Sequence[LabelledExample]:
        """All examples, by index."""

    def __len__(self) -> int: ...

    def index_of(self, id: str) -> int:
        """Index of the example with that id."""

    def read(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """The decoded image."""


class CachedImages:
    """A dataset whose images are decoded and resized once, then kept in memory.

    Put it between a dataset and :func:`train_iterator` or :func:`eval_batches`: from the second
    epoch on nothing is decoded. If all images at that size would exceed `max_bytes`, none is
    kept and each read decodes, as without it.

    Threads may read at once: they share a dict of finished images, at worst two of them decode
    the same one.

    Args:
      dataset: where images come from.
      image_size: side of the square they are resized to.
      max_bytes: memory that the images may take, all together.
    """

    def __init__(
        self, dataset: ImageSource, image_size: int, *, max_bytes: int = 2 * 2**30
    ) -> None:
        self._dataset = dataset
        self._image_size = image_size
        self._images: dict[int, np.ndarray] = {}
        self.enabled = len(dataset) * image_size * image_size * 3 <= max_bytes

    @property
    def examples(self) -> Sequence[LabelledExample]:
        """The dataset's examples."""
        return self._dataset.examples

    def __len__(self) -> int:
        return len(self._dataset)

    def index_of(self, id: str) -> int:
        """Index of the example with that id."""
        return self._dataset.index_of(id)

    def read(self, index: int) -> UInt8[np.ndarray, "S S 3"]:
        """The image at `image_size`, uint8 [S, S, 3]; read-only if it is kept."""
        if (kept := self._images.get(index)) is not None:
            return kept
        image = resize(self._dataset.read(index), self._image_size)
        if self.enabled:
            image = image.view()  # so that an array of the dataset's own stays writable
            image.setflags(write=False)
            self._images[index] = image
        return image


def steps_per_epoch(num_examples: int, batch_size: int) -> int:
    """Full batches in one epoch; the ragged rest is dropped.

    Raises:
      UserError: if there is not one full batch.
    """
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}; give 1 or more")
    if num_examples < batch_size:
        raise UserError(
            f"{num_examples} training examples do not fill one batch of {batch_size}; "
            "lower batch_size or add images"
        )
    return num_examples // batch_size


def train_iterator(
    dataset: ImageSource,
    ids: Sequence[str],
    *,
    batch_size: int,
    image_size: int,
    seed: int,
    num_threads: int | None = None,
) -> grain.DatasetIterator[Batch]:
    """An endless iterator over training batches, reshuffled at every epoch.

    An epoch is :func:`steps_per_epoch` batches in which no example comes twice; which ones the
    dropped ragged batch would have held differs from epoch to epoch. The order depends on `seed`
    alone. `get_state()` gives a small JSON-able dict; after `set_state()` of it, an iterator
    with the same arguments goes on with the very batches that would have followed.

    Args:
      dataset: where images come from.
      ids: of the training examples.
      batch_size: B.
      image_size: S, the side that images are resized to.
      seed: of the shuffling, any non-negative integer.
      num_threads: that read and resize; a thread for each CPU (16 at most) if None.

    Returns:
      Iterator over dicts of `image` uint8 [B, S, S, 3], `label` int32 [B] and `index` int32 [B]
      (the dataset's index of each).

    Raises:
      UserError: if the examples do not fill one batch.
    """
    import grain

    steps_per_epoch(len(ids), batch_size)
    # grain shuffles epoch e with seed + e: neighbouring seeds would share their epochs.
    shuffle_seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
    chain = (
        grain.MapDataset.source([dataset.index_of(id) for id in ids])
        .shuffle(seed=shuffle_seed)
        .map(_Read(dataset, image_size))
        .batch(batch_size, drop_remainder=True)
        .repeat(reseed_each_epoch=True)
    )
    return iter(chain.to_iter_dataset(_read_options(num_threads)))


def eval_batches(
    dataset: ImageSource,
    ids: Sequence[str],
    *,
    batch_size: int,
    image_size: int,
    num_threads: int | None = None,
) -> Iterator[Batch]:
    """Batches of the examples in the order of `ids`, each once, all of one shape.

    Args:
      dataset: where images come from.
      ids: of the examples.
      batch_size: B.
      image_size: S, the side that images are resized to.
      num_threads: that read and resize; a thread for each CPU (16 at most) if None.

    Returns:
      Iterator over dicts of `image` uint8 [B, S, S, 3], `label` int32 [B], `index` int32 [B]
      and `mask` bool [B]. The last batch is padded with zeros, where `mask` is False.

    Raises:
      UserError: if there are no ids.
    """
    import grain

    if not ids:
        raise UserError("there are no examples to evaluate; check the split and the data folder")
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}; give 1 or more")
    chain = (
        grain.MapDataset.source([dataset.index_of(id) for id in ids])
        .map(_Read(dataset, image_size))
        .batch(batch_size, drop_remainder=False)
        .map(_Pad(batch_size))
    )
    return iter(chain.to_iter_dataset(_read_options(num_threads)))


class _Read:
    """Index → image at the right size, with its label."""

    def __init__(self, dataset: ImageSource, image_size: int) -> None:
        self._dataset = dataset
        self._image_size = image_size

    def __call__(self, index: int) -> dict[str, Any]:
        return {
            "image": resize(self._dataset.read(index), self._image_size),
            "label": np.int32(self._dataset.examples[index].label),
            "index": np.int32(index),
        }


class _Pad:
    """Fills a ragged batch with zeros and marks the real rows in `mask`."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size

    def __call__(self, batch: Batch) -> Batch:
        present = len(batch["label"])
        missing = self._batch_size - present
        padded = {
            name: np.pad(values, [(0, missing)] + [(0, 0)] * (values.ndim - 1))
            for name, values in batch.items()
        }
        return padded | {"mask": np.arange(self._batch_size) < present}


def _read_options(num_threads: int | None) -> grain.ReadOptions:
    import grain

    if num_threads is None:
        num_threads = min(MAX_THREADS, os.cpu_count() or 1)
    return grain.ReadOptions(
        num_threads=num_threads, prefetch_buffer_size=BATCHES_AHEAD_PER_THREAD * num_threads
    )
