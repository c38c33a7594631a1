"""Uint8 batches from a data set and a list of example ids, through a chain of grain.

Augmentation and normalisation come later, on the device (:mod:`fakd_jax.data.augment`).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt8

from fakd_jax.data.resizing import resize
from fakd_jax.errors import UserError

if TYPE_CHECKING:
    import grain

Batch = dict[str, np.ndarray]

MAX_THREADS = 16
BATCHES_AHEAD_PER_THREAD = 2
ALL_ROWS = slice(None)


@runtime_checkable
class LabelledExample(Protocol):
    """An example with the index of its class."""

    @property
    def label(self) -> int:
        """Index of the class."""


@runtime_checkable
class ImageSource(Protocol):
    """The interface of :class:`ImageDataset` and :class:`CachedImages` that the pipeline uses."""

    @property
    def examples(self) -> Sequence[LabelledExample]:
        """All examples, by index."""

    def __len__(self) -> int: ...

    def index_of(self, id: str) -> int:
        """Index of the example with that id."""

    def read(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """The decoded image."""


@runtime_checkable
class MaskSource(Protocol):
    """The interface of :class:`fakd_jax.data.training_masks.TrainingMasks` that is used here."""

    def read(self, indices: np.ndarray) -> UInt8[np.ndarray, "B S S"]:
        """The masks of images by index: 255 on the lesion; 0 where none is outlined."""

    def chances(self, indices: np.ndarray) -> Float32[np.ndarray, " B"]:
        """How often images may change in a way that asks where the lesion is, from 0 to 1."""


class CachedImages:
    """A data set whose images are decoded and resized once, then kept in memory.

    As many images as fit are kept, those that are read first; the others are decoded at each
    read. Thread-safe; at worst, two threads decode the same image.

    Args:
      dataset: source of the images.
      image_size: side of the square that they are resized to.
      max_bytes: memory for all images together.

    Attributes:
      capacity: the number of images that are kept at most.
    """

    def __init__(
        self, dataset: ImageSource, image_size: int, *, max_bytes: int = 2 * 2**30
    ) -> None:
        self._dataset = dataset
        self._image_size = image_size
        self._images: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()
        self._bytes_each = image_size * image_size * 3
        self.capacity = min(len(dataset), max_bytes // self._bytes_each)

    def __str__(self) -> str:
        """How many of the images are kept, for the log."""
        size = f"{self.capacity * self._bytes_each / 2**30:.2f} GiB"
        if self.capacity == len(self):
            return f"all {len(self):,} decoded images are kept in memory ({size})"
        return (
            f"{self.capacity:,} of {len(self):,} decoded images are kept in memory ({size}), "
            "the others are decoded at each use"
        )

    @property
    def examples(self) -> Sequence[LabelledExample]:
        """The data set's examples."""
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
        with self._lock:
            if len(self._images) < self.capacity:
                image = image.view()  # the data set's own array stays writable
                image.setflags(write=False)
                self._images[index] = image
        return image


def steps_per_epoch(num_examples: int, batch_size: int) -> int:
    """Number of full batches per epoch; the incomplete last batch is dropped.

    Raises:
      UserError: the examples do not fill one batch.
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
    masks: MaskSource | None = None,
    rows: slice = ALL_ROWS,
    labelled: Collection[str] | None = None,
    carry_remainder: bool = False,
    num_threads: int | None = None,
) -> grain.DatasetIterator[Batch]:
    """An endless iterator over training batches, reshuffled at every pass over the examples.

    A pass is :func:`steps_per_epoch` batches without repetition; the examples of the dropped
    incomplete batch differ from pass to pass. The order depends on `seed` alone. `get_state()`
    returns a small JSON-able dict; after `set_state()` with it, an iterator with the same
    arguments continues with the same batches.

    Args:
      dataset: source of the images.
      ids: of the training examples.
      batch_size: B.
      image_size: S, the side that images are resized to.
      seed: of the shuffling, any non-negative integer.
      masks: of lesions; None reads none.
      rows: those of every batch that are read; one of several processes reads its own. Neither the
        batches nor the iterator's state depend on it.
      labelled: the ids whose labels may be used; None for all.
      carry_remainder: whether an incomplete batch is not dropped but filled up from the next pass,
        so that any number of examples fills batches and each comes equally often.
      num_threads: threads that read and resize; None for one per CPU, at most 16.

    Returns:
      Iterator over dicts of `image` uint8 `[B, S, S, 3]`, `label` int32 `[B]` and `index` int32
      `[B]` (into the data set's examples), where B is the number of `rows`; with `labelled` also
      `labelled` bool `[B]`: where it is False, `label` is 0, whatever the class; with masks also
      `lesion` uint8 `[B, S, S]` and `lesion_chance` float32 `[B]`, of :class:`MaskSource`.

    Raises:
      UserError: the examples do not fill one batch, and the remainder is not carried.
    """
    import grain

    if not carry_remainder:
        steps_per_epoch(len(ids), batch_size)
    # grain shuffles epoch e with seed + e: consecutive seeds would share their epochs.
    shuffle_seed = int(np.random.SeedSequence(seed).generate_state(1)[0])
    read = _Read(dataset, image_size, rows, masks, labelled)
    chain = grain.MapDataset.source([dataset.index_of(id) for id in ids]).shuffle(seed=shuffle_seed)
    if carry_remainder:
        chain = chain.repeat(reseed_each_epoch=True).batch(batch_size, drop_remainder=True)
        chain = chain.map(read)
    else:
        chain = chain.batch(batch_size, drop_remainder=True).map(read)
        chain = chain.repeat(reseed_each_epoch=True)
    return iter(chain.to_iter_dataset(_read_options(num_threads)))


def eval_batches(
    dataset: ImageSource,
    ids: Sequence[str],
    *,
    batch_size: int,
    image_size: int,
    rows: slice = ALL_ROWS,
    num_threads: int | None = None,
) -> Iterator[Batch]:
    """Batches of the examples in the order of `ids`, each once, all of one shape.

    Args:
      dataset: source of the images.
      ids: of the examples.
      batch_size: B.
      image_size: S, the side that images are resized to.
      rows: as of :func:`train_iterator`.
      num_threads: as of :func:`train_iterator`.

    Returns:
      Iterator over dicts as of :func:`train_iterator`, and `mask` bool `[B]`: the last batch is
      padded with zeros, where `mask` is False.

    Raises:
      UserError: there are no ids.
    """
    import grain

    if not ids:
        raise UserError("there are no examples to evaluate; check the split and the data folder")
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}; give 1 or more")
    chain = (
        grain.MapDataset.source([dataset.index_of(id) for id in ids])
        .batch(batch_size, drop_remainder=False)
        .map(_Read(dataset, image_size, rows))
        .map(_Pad(len(range(*rows.indices(batch_size)))))
    )
    return iter(chain.to_iter_dataset(_read_options(num_threads)))


class _Read:
    """Indices of a batch → its `rows`: resized images with known labels and masks."""

    def __init__(
        self,
        dataset: ImageSource,
        image_size: int,
        rows: slice,
        masks: MaskSource | None = None,
        labelled: Collection[str] | None = None,
    ) -> None:
        self._dataset = dataset
        self._image_size = image_size
        self._rows = rows
        self._masks = masks
        self._labelled = None if labelled is None else {*map(dataset.index_of, labelled)}

    def __call__(self, indices: np.ndarray) -> Batch:
        indices = indices[self._rows].astype(np.int32)
        size = self._image_size
        images = np.empty((len(indices), size, size, 3), np.uint8)
        for image, index in zip(images, indices, strict=True):
            image[:] = resize(self._dataset.read(int(index)), size)
        labels = [self._dataset.examples[index].label for index in indices]
        batch: Batch = {"image": images, "label": np.array(labels, np.int32), "index": indices}
        if self._masks is not None:
            masks = self._masks
            batch |= {"lesion": masks.read(indices), "lesion_chance": masks.chances(indices)}
        if self._labelled is None:
            return batch
        labelled = np.array([int(index) in self._labelled for index in indices], bool)
        # A label that must not be used does not even leave here.
        return batch | {"label": batch["label"] * labelled, "labelled": labelled}


class _Pad:
    """Pads an incomplete batch with zeros and marks the real rows in `mask`."""

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
