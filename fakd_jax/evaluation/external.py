"""Data that a network was not trained on: copies of the images it has learnt from, left out.

External validation asks how a network does on other patients' images. Public collections of one
kind share images, often resized, mirrored or with other contrast, and such a copy is answered from
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fakd_jax.audit.copies import Copies, JoinedImages, find_copies
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.errors import UserError
from fakd_jax.runs.learnt_images import LearntImages
from fakd_jax.runs.own_split import THE_DATA_ITSELF, SplitIds
from fakd_jax.runs.workdir import open_data

Log = Callable[[str], object]


@dataclass(frozen=True)
class External:
    """What is known about copies of images learnt from in other data.

    Attributes:
      learnt_images: number of images that the network has learnt from; None if unknown.
      training_data: has their pictures; None if they are not at hand: only images that are equal
        to one pixel for pixel could be left out.
      compared_with: number of images learnt from whose pictures were compared.
      validation_ids: images of the training data that chose the epoch, and nothing else: they can
        choose a temperature and thresholds.
      copies: what the comparison found; None without one.
      note: what could not be looked for, in one line; "" if all copies could.
    """

    learnt_images: int | None = None
    training_data: ImageDataset | None = None
    compared_with: int = 0
    validation_ids: tuple[str, ...] = ()
    copies: Copies | None = None
    note: str = ""

    def record(self, apart: Sequence[str]) -> dict[str, Any]:
        """`external` of `metrics.json`; `apart` are the images left out."""
        return {
            "learnt_images": self.learnt_images,
            "training_data": self.training_data and self.training_data.source,
            "compared_with": self.compared_with,
            "left_out": len(apart),
        }


def is_external(dataset: ImageDataset, images: SplitIds, metadata: Mapping[str, Any]) -> bool:
    """Whether the images are of data that the checkpoint was not trained on.

    Of the run's own data, the splits and the audit take care of copies.
    """
    trained_on = (metadata.get("data") or {}).get("fingerprint")
    return images.origin == THE_DATA_ITSELF and dataset.fingerprint != trained_on


def look_for_copies(
    dataset: ImageDataset,
    images: SplitIds,
    metadata: Mapping[str, Any],
    learnt: LearntImages | None,
    *,
    training_data: str | None,
    cache_dir: Path | str | None,
    log: Log,
) -> External:
    """Looks among other data's images for copies of those that a network has learnt from.

    Args:
      dataset: the other data.
      images: to evaluate, and left out before.
      metadata: the checkpoint's.
      learnt: the images it has learnt from, by their content; None if unknown.
      training_data: their source; None for the one that the checkpoint names.
      cache_dir: of prepared data.
      log: called with lines for the user.

    Raises:
      UserError: `training_data` cannot be opened, or see :func:`fakd_jax.audit.copies.find_copies`.
    """
    if learnt is None:
        return External(
            note="the images that the network has learnt from are unknown: whether copies of them "
            "are among these images is not known"
        )
    number = len(learnt.every)
    try:
        training = open_data(metadata, training_data, cache_dir=cache_dir, log=log)
    except UserError as error:
        if training_data is not None:
            raise
        return External(
            number,
            note="only images equal pixel for pixel to one learnt from were left out, because the "
            f"training data are not at hand ({error}); give --training-data to find altered copies",
        )
    content = {example.id: example.content for example in training.examples}
    at_hand = tuple(id for id in content if content[id] in learnt.every)
    note = _not_at_hand(learnt, len({content[id] for id in at_hand}), training.source)
    if not at_hand:
        return External(number, note=note)
    ids = (*images.ids, *images.apart)
    log(f"evaluation: comparing {len(ids):,} images with {len(at_hand):,} learnt from")
    copies = find_copies(JoinedImages(dataset, ids, training, at_hand), cache_dir, log)
    validation = tuple(id for id in at_hand if content[id] not in learnt.train)
    return External(number, training, len(at_hand), validation, copies, note)


def without_copies(images: SplitIds, external: External) -> SplitIds:
    """The images that are no copies, with notes on what was left out and what is not known.

    Raises:
      UserError: all are copies.
    """
    found = external.copies.found if external.copies else {}
    altered = tuple(id for id in images.ids if id in found)
    total = len(images.ids) + len(images.apart)
    if len(altered) == len(images.ids):
        raise UserError(
            f"all {total:,} images are copies of images that the network has learnt from: nothing "
            "is left to measure; give other data"
        )
    left_out = ""
    if altered:
        left_out = (
            f"{len(altered):,} of the {total:,} images are altered copies of images that the "
            "network has learnt from: left out"
        )
    kept = tuple(id for id in images.ids if id not in found)
    note = "; ".join(filter(None, [images.note, left_out, external.note]))
    return replace(images, ids=kept, apart=(*images.apart, *altered), note=note)


def _not_at_hand(learnt: LearntImages, found: int, source: str) -> str:
    """Which of the images learnt from could not be compared with; "" if all could."""
    notes = []
    if missing := len(learnt.every) - found:
        notes.append(
            f"{missing:,} of the {len(learnt.every):,} images learnt from are not in {source}"
        )
    if not learnt.complete:
        notes.append("what the initial weights or the teacher have learnt from is unknown")
    return f"{' and '.join(notes)}: altered copies of these were not looked for" if notes else ""
