"""The images to explain: from files or from a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.mask_files import MaskFiles, mask_name
from fakd_jax.data.pixels.frames import read_picture
from fakd_jax.data.pixels.window import DEFAULT_RULES, PixelRules
from fakd_jax.errors import UserError
from fakd_jax.runtime.hashing import sha256


@dataclass(frozen=True)
class Subject:
    """An image to explain.

    Attributes:
      id: its path in the data, or the file as the user named it.
      true_class: if known.
      read: returns its pixels, uint8 ``[H, W, 3]``, at the original size.
      masks: the files of its lesion masks, if there are any.
    """

    id: str
    true_class: str | None
    read: Callable[[], UInt8[np.ndarray, "H W 3"]]
    masks: tuple[Path, ...] = ()


def data_record(
    dataset: ImageDataset, split: str, origin: str, per_class: int | None
) -> dict[str, Any]:
    """The origin of a data set's images and how they were chosen, as JSON-able values."""
    return {
        "source": dataset.source,
        "name": dataset.name,
        "version": dataset.version,
        "fingerprint": dataset.fingerprint,
        "split": split,
        "split_origin": origin,
        "per_class": per_class,
    }


def require_readable(files: Sequence[str]) -> None:
    """Decodes image files to check that they can be.

    Raises:
      UserError: some cannot be read; one line names them all.
    """
    errors = []
    for file in dict.fromkeys(files):
        try:
            read_picture(file)
        except UserError as error:
            errors.append(str(error))
    if errors:
        number = len(dict.fromkeys(files))
        count = f"{len(errors)} of {number} images cannot be read: "
        raise UserError((count if number > 1 else "") + "; ".join(errors))


def subjects_from_files(files: Sequence[str], rules: PixelRules = DEFAULT_RULES) -> list[Subject]:
    """Image files, or images of files as `path#index`; duplicate paths count once.

    Args:
      files: their paths.
      rules: how files that are not pictures of 8 bits become such.
    """
    return [
        Subject(id=file, true_class=None, read=partial(read_picture, file, rules))
        for file in dict.fromkeys(files)
    ]


def subjects_from_dataset(
    dataset: ImageDataset,
    ids: Sequence[str],
    class_names: Sequence[str],
    *,
    per_class: int | None,
    seed: int,
    masks: MaskFiles | None = None,
    log: Callable[[str], object] = print,
) -> list[Subject]:
    """Chooses images of every class of a data set, class by class.

    Of each class, the `per_class` ids whose hash with the seed is smallest: a random choice that
    depends on neither the order nor the other classes; a larger `per_class` keeps the images of
    a smaller one.

    Args:
      dataset: the images.
      ids: to choose from, e.g. the test split's.
      class_names: the network's, which must include the data's.
      per_class: at least 1; None takes all.
      seed: of the choice.
      masks: lesion masks; None takes those that come with the data, if any.
      log: called with a line for each class that has too few images, and with the number of
        images that have a mask in `masks`.

    Raises:
      UserError: `per_class` is below 1, a class is unknown to the network, or the folder has no
        mask of any image.
    """
    if per_class is not None and per_class < 1:
        raise UserError(f"per_class is {per_class}; ask for at least 1")
    if unknown := sorted(set(dataset.class_names) - set(class_names)):
        raise UserError(
            f"the data's classes {', '.join(unknown)} are not among the checkpoint's "
            f"({', '.join(class_names)}); give the data it was trained for"
        )

    def rank(id: str) -> str:
        return sha256(f"{seed} {id}")

    files = dataset.masks if masks is None else masks
    subjects = []
    for label, name in enumerate(dataset.class_names):
        of_class = [id for id in ids if dataset.examples[dataset.index_of(id)].label == label]
        if per_class is not None and len(of_class) < per_class:
            log(f"class {name} has only {len(of_class)} of the {per_class} images asked for")
        subjects += [
            Subject(id, name, partial(dataset.read, dataset.index_of(id)), files.of(id))
            for id in sorted(of_class, key=rank)[:per_class]
        ]
    if masks is not None:
        found = sum(bool(subject.masks) for subject in subjects)
        if not found:
            expected = masks.folder / mask_name(subjects[0].id)
            raise UserError(
                f"{masks.folder} has no mask of any image; expected files such as {expected}"
            )
        log(f"{masks.folder} has masks of {found} of the {len(subjects)} images")
    return subjects
