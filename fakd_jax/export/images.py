"""The real images that an export is calibrated and verified on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8

from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.preprocessing import resize
from fakd_jax.errors import UserError
from fakd_jax.inference.predictor import Predictor
from fakd_jax.runs.own_split import choose_ids
from fakd_jax.runs.workdir import find_workdir, open_data

MAX_VERIFIED = 1_000
MAX_CALIBRATED = 64
_SEED = 0


@dataclass(frozen=True)
class Images:
    """Images at the network's input size.

    Attributes:
      name: what they are, such as "test images of brain_tumor_mri".
      pixels: uint8 [N, S, S, 3].
      labels: int [N], in the order of the network's classes.
    """

    name: str
    pixels: UInt8[np.ndarray, "N S S 3"]
    labels: Int[np.ndarray, " N"]


@dataclass(frozen=True)
class RealImages:
    """What an export may use of the data.

    Attributes:
      test: to verify on; None if the data or their test images are not at hand.
      training: to calibrate on, likewise.
    """

    test: Images | None
    training: Images | None


def find_images(
    predictor: Predictor,
    source: str | None,
    cache_dir: Path | str | None,
    log: Callable[[str], object],
) -> RealImages:
    """Reads test and training images: of the data given, else of the checkpoint's if it is there.

    Args:
      predictor: the checkpoint.
      source: of the data; None for the data trained on.
      cache_dir: folder of prepared data; None for the checkpoint's.
      log: called with lines for the user.

    Raises:
      UserError: data were given and cannot be used.
    """
    try:
        dataset = open_data(predictor.metadata, source, cache_dir=cache_dir, log=lambda _: None)
        if sorted(dataset.class_names) != sorted(predictor.class_names):
            raise UserError(
                f"the data's classes are {', '.join(dataset.class_names)}, the checkpoint's "
                f"{', '.join(predictor.class_names)}; give data with the checkpoint's classes"
            )
    except UserError as error:
        if source is not None:
            raise
        log(f"the data trained on are not at hand ({error})")
        return RealImages(None, None)
    return RealImages(
        _part(predictor, dataset, "test", MAX_VERIFIED, log),
        _part(predictor, dataset, "train", MAX_CALIBRATED, log),
    )


def _part(
    predictor: Predictor,
    dataset: ImageDataset,
    split: str,
    most: int,
    log: Callable[[str], object],
) -> Images | None:
    """Images of a split of the run, drawn with a fixed seed if there are more than `most`."""
    workdir = find_workdir(predictor.checkpoint)
    try:
        ids: Sequence[str] = choose_ids(dataset, split, workdir, predictor.metadata).ids
    except UserError as error:
        named = [example.id for example in dataset.examples if example.split == split]
        if split == "test" or not named:
            log(f"no {split} images: {error}")
            return None
        ids = named  # the source's own: a calibration needs typical images, whoever trained on them
    order = np.random.default_rng(_SEED).permutation(len(ids))[:most]
    indices = [dataset.index_of(ids[position]) for position in sorted(order)]
    side, names = predictor.preprocessing.image_size, predictor.class_names
    labels = [names.index(dataset.class_names[dataset.examples[i].label]) for i in indices]
    pixels = np.stack([resize(dataset.read(index), side) for index in indices])
    return Images(f"{split} images of {dataset.name}", pixels, np.array(labels))
