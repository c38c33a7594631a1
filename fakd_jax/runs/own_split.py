"""The images of a run's split in the data at hand, which may differ from what it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.layouts.names import UNSPLIT
from fakd_jax.data.splits import PARTS, Split
from fakd_jax.errors import UserError
from fakd_jax.runs.files import SPLIT_FILE
from fakd_jax.runs.learnt_images import LearntImages

THE_DATA_ITSELF = "the data itself"
"""The origin of a split of data that are not the run's."""

DRAWS_ITS_TEST = ("grouped", "kfold")
"""The kinds of split whose test images are not those of the source's test folder."""


@dataclass(frozen=True)
class OwnSplit:
    """A run's split.

    Attributes:
      stored: as the run stored it.
      found: with the images that are in the data at hand, by their ids there.
      others: number of images in the data that no part of the split has.
    """

    stored: Split
    found: Split
    others: int

    @property
    def same_data(self) -> bool:
        """Whether the data at hand are those that the split was made for."""
        return self.found.fingerprint == self.stored.fingerprint

    def knows(self, part: str) -> bool:
        """Whether the data at hand have at least half of the images of `train`, `val` or `test`."""
        stored, found = len(self.stored.ids(part)), len(self.found.ids(part))
        return self.same_data or 2 * found >= stored > 0

    def missing(self, part: str) -> int:
        """Number of the part's images that the data at hand lack."""
        return len(self.stored.ids(part)) - len(self.found.ids(part))

    def changes(self, part: str) -> str:
        """How the data at hand differ from the run's, in one line; "" if they do not."""
        if self.same_data:
            return ""
        return (
            f"the data differ from the run's: of its {len(self.stored.ids(part)):,} {part} images, "
            f"recognised by their content, {self.missing(part):,} are missing; {self.others:,} "
            "images of the data are in no part of its split"
        )


@dataclass(frozen=True)
class SplitIds:
    """The images of a split.

    Attributes:
      ids: of the images.
      origin: of the split: `split.json (official, seed 0)`, `the data itself`.
      note: a caveat in one line; "" if there is none.
      apart: images of the split that were left out, because the network has learnt from them.
    """

    ids: tuple[str, ...]
    origin: str
    note: str = ""
    apart: tuple[str, ...] = ()


def own_split(dataset: ImageDataset, workdir: Path | None) -> OwnSplit | None:
    """The split of the run in a workdir; None if there is none.

    Raises:
      UserError: its `split.json` is damaged.
    """
    if workdir is None or not (workdir / SPLIT_FILE).is_file():
        return None
    stored = Split.load(workdir / SPLIT_FILE)
    found = stored.found_in(dataset)
    return OwnSplit(stored, found, len(dataset) - sum(len(getattr(found, part)) for part in PARTS))


def choose_ids(
    dataset: ImageDataset, split: str, workdir: Path | None, metadata: Mapping[str, Any]
) -> SplitIds:
    """Finds the images of the split "test", "val" or "train", in the order of evaluation.

    The run's `split.json` takes precedence wherever the data have at least half of the images that
    it names, for the test split too: a run that drew its own test images trained on some of the
    data's. Of other data, the test images are taken, or all images if they have no splits, without
    those that the network has learnt from.

    Args:
      dataset: the data.
      split: which images.
      workdir: of the run; None if there is none.
      metadata: the checkpoint's.

    Raises:
      UserError: the split is unknown for this data, has no images, or has nothing but images that
        the network has or may have learnt from.
    """
    own = own_split(dataset, workdir)
    if own is not None and own.knows(split):
        origin = f"{SPLIT_FILE} ({own.stored.describe()})"
        chosen = SplitIds(own.found.ids(split), origin, own.changes(split))
    elif split == "test":
        part = UNSPLIT if dataset.is_unsplit else "test"
        chosen = _other_test_images(dataset, part, own, metadata)
        if dataset.is_unsplit:
            whole = f"{dataset.source} has no splits: all of its {len(dataset):,} images are taken"
            chosen = replace(chosen, note="; ".join(filter(None, [whole, chosen.note])))
    else:
        reason = f"there is no {SPLIT_FILE}"
        if own is not None:
            reason = f"{workdir and workdir / SPLIT_FILE} belongs to other data"
        raise UserError(
            f"only the run that chose the {split} images knows them, and {reason}; give a "
            "checkpoint in its workdir with the data it was trained on, or --split test"
        )
    if not chosen.ids:
        advice = "choose another --split"
        if split == "test" and chosen.origin == THE_DATA_ITSELF:
            advice = "give a folder of classes alone, such as its Training/, and all are taken"
        raise UserError(f"the {split} split of {chosen.origin} has no images; {advice}")
    return chosen


def _other_test_images(
    dataset: ImageDataset, part: str, own: OwnSplit | None, metadata: Mapping[str, Any]
) -> SplitIds:
    """The images of a part of data that are not the run's, without those learnt from.

    The `official` split of a source may itself have copies of its training images: these are noted
    where the run's own split is not at hand.

    Raises:
      UserError: some or all images may be ones that the network has learnt from, and which is not
        known.
    """
    test = [example for example in dataset.examples if example.split == part]
    trained_on = metadata.get("data") or {}
    kind = own.stored.kind if own else trained_on.get("split")
    learnt = LearntImages.from_metadata(metadata)
    if own is not None and own.stored.content:
        learnt = learnt or LearntImages.of_split(own.stored)
    seen: set[str] = set()
    what = ""
    if learnt is not None:
        seen = {example.id for example in test if example.content in learnt.every}
        what = "are images that the network has learnt from, pixel for pixel"
    elif own is not None and kind in DRAWS_ITS_TEST:
        seen = {example.id for example in test} & {*own.stored.train, *own.stored.val}
        what = "have the names of images that the network has learnt from"
    elif kind in DRAWS_ITS_TEST:
        seen = {example.id for example in test}
        what = f"may be images that the network has learnt from: its run ({kind}) drew its own"
    ids = tuple(example.id for example in test)
    apart: tuple[str, ...] = ()
    note = ""
    if seen:
        note = f"{len(seen):,} of the {len(test):,} test images of {dataset.source} {what}"
        official = own is None and kind not in DRAWS_ITS_TEST
        if learnt is None or len(seen) == len(test):
            raise UserError(
                f"{note}; give the checkpoint in its workdir with the data of its run, whose own "
                "test images are known, or data without these images"
            )
        if not (official and dataset.fingerprint == trained_on.get("fingerprint")):
            apart = tuple(sorted(seen))
            ids = tuple(id for id in ids if id not in seen)
            note += ": left out"
    return SplitIds(ids, THE_DATA_ITSELF, note, apart)
