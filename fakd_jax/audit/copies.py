"""Copies of some images, such as those that a network has learnt from, in other data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from fakd_jax.audit.findings import Duplicate, duplicates_in_training
from fakd_jax.audit.record import audit_duplicates
from fakd_jax.data.dataset import Example, ImageDataset
from fakd_jax.data.groups import join_groups
from fakd_jax.runtime.hashing import sha256_of_json

LEARNT = "learnt/"
"""Before the ids of images learnt from, which the other data may have too."""


@dataclass(frozen=True)
class JoinedImages:
    """Images to evaluate, followed by images learnt from, as if they were of one data set.

    Attributes:
      tested: the data with the images to evaluate.
      tested_ids: of these.
      learnt: the data with the images learnt from.
      learnt_ids: of these; `LEARNT` is put before them.
    """

    tested: ImageDataset
    tested_ids: Sequence[str]
    learnt: ImageDataset
    learnt_ids: Sequence[str]

    @property
    def name(self) -> str:
        """For the log."""
        return f"{self.tested.name} and of those learnt from"

    @cached_property
    def fingerprint(self) -> str:
        """The identity of the images, on which side they are, and their order."""
        sides = [self.tested.contents(self.tested_ids), self.learnt.contents(self.learnt_ids)]
        return sha256_of_json(["joined", *(sorted(side.items()) for side in sides)])

    @cached_property
    def examples(self) -> tuple[Example, ...]:
        """The images, in order."""
        tested = (self.tested.examples[self.tested.index_of(id)] for id in self.tested_ids)
        learnt = (self.learnt.examples[self.learnt.index_of(id)] for id in self.learnt_ids)
        return (*tested, *(replace(example, id=LEARNT + example.id) for example in learnt))

    def __len__(self) -> int:
        return len(self.tested_ids) + len(self.learnt_ids)

    def read_encoded(self, index: int) -> bytes:
        """The bytes of an image as stored."""
        tested = len(self.tested_ids)
        dataset = self.tested if index < tested else self.learnt
        id = self.tested_ids[index] if index < tested else self.learnt_ids[index - tested]
        return dataset.read_encoded(dataset.index_of(id))


@dataclass(frozen=True)
class Copies:
    """What a search for copies found.

    Attributes:
      audit: its fingerprint.
      groups: the group of duplicates by id, of both kinds of images.
      found: the copies among the images to evaluate, by their ids. The image learnt from has its
        own id again.
    """

    audit: str
    groups: Mapping[str, int]
    found: Mapping[str, Duplicate]


def find_copies(
    joined: JoinedImages,
    cache_dir: Path | str | None = None,
    log: Callable[[str], object] = print,
) -> Copies:
    """Searches as an audit does: mirrored, re-encoded, brightened and moved copies are found too.

    Images to evaluate are compared with each other and with those learnt from, these not with each
    other. What was found is stored beside the audits.

    Raises:
      UserError: as :func:`fakd_jax.audit.record.audit_duplicates`.
    """
    settled = np.arange(len(joined)) >= len(joined.tested_ids)
    audit = audit_duplicates(joined, cache_dir, log, settled=settled)
    # Equal pixels are copies even where there is no contrast to compare.
    contents = {example.id: example.content for example in joined.examples}
    audit = replace(audit, groups=join_groups(audit.groups, contents))
    learnt = [LEARNT + id for id in joined.learnt_ids]
    found = {
        id: replace(duplicate, training=duplicate.training.removeprefix(LEARNT))
        for id, duplicate in duplicates_in_training(audit, joined.tested_ids, learnt).items()
    }
    return Copies(audit.fingerprint, audit.groups, found)
