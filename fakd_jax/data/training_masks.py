"""Lesion masks of training images: found by id, resized as the images are, kept in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, UInt8

from fakd_jax.data.mask_files import MaskFiles, mask_name
from fakd_jax.data.masks import read_masks
from fakd_jax.data.pipeline import ImageSource
from fakd_jax.errors import UserError
from fakd_jax.runtime.hashing import sha256_of_file, sha256_of_json


class TrainingMasks:
    """The masks of those images, among the given ones, that have a lesion outlined.

    Nothing else is opened: a mask of an image that is not among `ids` could as well be missing. All
    masks are read at once, so that a damaged one is reported before training. An empty mask counts
    as none: where nothing is outlined, nothing is known, unless the label says that there is no
    lesion.

    Args:
      masks: where they lie.
      dataset: the images.
      ids: of the labelled training images.
      image_size: S, the side that images are resized to.
      healthy: the index of the class without a lesion; None if there is no such class.

    Attributes:
      fingerprint: the SHA-256 of ids and files.
      num_images: the number of these images.
      outlined_share: how many of them are outlined, of those with a lesion.

    Raises:
      UserError: a mask cannot be read or has another size than its image; or there is none.
    """

    def __init__(
        self,
        masks: MaskFiles,
        dataset: ImageSource,
        ids: Sequence[str],
        image_size: int,
        *,
        healthy: int | None = None,
    ) -> None:
        self.num_images = len(ids)
        indices = map(dataset.index_of, ids)
        self._healthy = {i for i in indices if dataset.examples[i].label == healthy}
        self._masks: dict[int, np.ndarray] = {}
        self._empty = np.zeros((image_size, image_size), np.uint8)
        digests = []
        for id in sorted(ids):
            if not (files := masks.of(id)):
                continue
            index = dataset.index_of(id)
            mask = read_masks(files, dataset.read(index).shape[:2], image_size)
            if mask.any():
                self._masks[index] = 255 * mask.astype(np.uint8)
                digests.append((id, *map(sha256_of_file, files)))
        if not self._masks:
            raise UserError(
                f"config.data.lesion_masks: {masks.folder} has no lesion of any training image; "
                f"expected files such as {masks.folder / mask_name(min(ids))}"
            )
        self.fingerprint = sha256_of_json(digests)
        lesions_outlined = len(self._masks.keys() - self._healthy)
        self.outlined_share = lesions_outlined / max(1, len(ids) - len(self._healthy))

    def __len__(self) -> int:
        return len(self._masks)

    def __str__(self) -> str:
        """How many training images have one, for the log."""
        return f"masks of {len(self):,} of {self.num_images:,} labelled training images"

    def read(self, indices: np.ndarray) -> UInt8[np.ndarray, "B S S"]:
        """The masks of images by their index in the data set: 255 on the lesion; 0 without one."""
        return np.stack([self._masks.get(int(index), self._empty) for index in indices])

    def chances(self, indices: np.ndarray) -> Float32[np.ndarray, " B"]:
        """How often images may change in a way that asks where the lesion is, from 0 to 1.

        1 if it is outlined; 0 if it is not. Healthy images change as often as those with a lesion
        do together, so that the change itself does not show which of them an image is.
        """

        def chance(index: int) -> float:
            if index in self._masks:
                return 1.0
            return self.outlined_share if index in self._healthy else 0.0

        return np.array([chance(int(index)) for index in indices], np.float32)
