"""Pairs of images: candidates for being duplicates, and what a comparison says about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Id = TypeVar("Id", int, str)

IDENTICAL, REENCODED, LEVELS, MOVED = (
    "identical file",
    "re-encoded",
    "other grey levels",
    "moved or resized",
)
ALTERATIONS = (IDENTICAL, REENCODED, LEVELS, MOVED)
DIFFERENT = "different pictures"


@dataclass(frozen=True)
class Pair(Generic[Id]):
    """Two images that were compared.

    Attributes:
      first: index or id of the image with the smaller index.
      second: index or id of the other.
      orientation: name of the orientation that turns the second into the first.
      alteration: one of `ALTERATIONS`: what else differs between duplicates; `DIFFERENT` if they
        are not duplicates.
      whole: correlation of the two pictures, 1 for identical files.
      parts: correlation that nearly all their parts reach, see
        :class:`fakd_jax.audit.matching.confirmation.Comparison`.
    """

    first: Id
    second: Id
    orientation: str
    alteration: str
    whole: float
    parts: float
