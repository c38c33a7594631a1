"""Which images a network has learnt from: known by their content, and stored with its weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakd_jax.data.dataset import CONTENT_DIGITS, ImageDataset
from fakd_jax.data.splits import Split
from fakd_jax.errors import UserError
from fakd_jax.runs.files import SPLIT_FILE
from fakd_jax.runs.workdir import find_workdir

METADATA_KEY = "learnt_from"


@dataclass(frozen=True)
class LearntImages:
    """The contents of the images that a network, or one that it was derived from, has learnt from.

    Attributes:
      train: they were trained on these, see :func:`fakd_jax.data.dataset.content_of`.
      val: these chose their epochs.
      complete: False if the images of a network that this one was derived from are unknown.
    """

    train: frozenset[str]
    val: frozenset[str]
    complete: bool = True

    @classmethod
    def of_split(cls, split: Split) -> LearntImages:
        """The images that a run with this split, which knows its contents, learns from."""
        train, val = (
            frozenset(split.content[id] for id in ids) for ids in (split.train, split.val)
        )
        return cls(train, val)

    @property
    def every(self) -> frozenset[str]:
        """Those trained on, and those that chose an epoch."""
        return self.train | self.val

    def derived_from(self, other: LearntImages | None) -> LearntImages:
        """These and those of another network, a teacher or initial weights; None if unknown."""
        if other is None:
            return LearntImages(self.train, self.val, complete=False)
        complete = self.complete and other.complete
        return LearntImages(self.train | other.train, self.val | other.val, complete)

    def to_metadata(self) -> dict[str, Any]:
        """The value of `learnt_from` in a checkpoint's metadata; 32 bytes per image."""
        return {
            "train": "".join(sorted(self.train)),
            "val": "".join(sorted(self.val)),
            "complete": self.complete,
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> LearntImages | None:
        """Reads a checkpoint's metadata; None where they lack the images.

        Raises:
          UserError: they are damaged.
        """
        if (stored := metadata.get(METADATA_KEY)) is None:
            return None
        try:
            train, val = (_unjoined(stored[part]) for part in ("train", "val"))
            return cls(train, val, bool(stored["complete"]))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"the checkpoint's {METADATA_KEY} is damaged ({error!r}); copy the checkpoint again"
            ) from error


def find_learnt_images(
    checkpoint: Path, metadata: Mapping[str, Any], dataset: ImageDataset
) -> LearntImages | None:
    """The images that a checkpoint has learnt from; None if they are unknown.

    Its metadata list them. For a checkpoint of an earlier version, the `split.json` of its workdir
    does, if it is of `dataset`.

    Raises:
      UserError: one of the two files is damaged.
    """
    if (known := LearntImages.from_metadata(metadata)) is not None:
        return known
    workdir = find_workdir(checkpoint)
    if workdir is None or not (workdir / SPLIT_FILE).is_file():
        return None
    split = Split.load(workdir / SPLIT_FILE)
    if split.fingerprint == dataset.fingerprint:
        split = split.found_in(dataset)
    return LearntImages.of_split(split) if split.content else None


def _unjoined(digits: str) -> frozenset[str]:
    if len(digits) % CONTENT_DIGITS:
        raise ValueError("a digest is cut short")
    starts: Iterable[int] = range(0, len(digits), CONTENT_DIGITS)
    return frozenset(digits[start : start + CONTENT_DIGITS] for start in starts)
