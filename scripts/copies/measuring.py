"""Searching for constructed copies, and counting hits and errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from copies.alterations import Kind
from jaxtyping import Int
from PIL import Image

from fakd_jax.audit.matching.appearance import Thumbnails, read_thumbnails
from fakd_jax.audit.matching.search import find_duplicates
from fakd_jax.data.dataset import Example, ImageDataset
from fakd_jax.data.pixels.raster import decode_rgb
from fakd_jax.errors import UserError
from fakd_jax.metrics.resampling import wilson_interval


@dataclass(frozen=True)
class Pictures:
    """Encoded images in memory, with the interface that `read_thumbnails` needs."""

    examples: tuple[Example, ...]
    encoded: tuple[bytes, ...]

    def __len__(self) -> int:
        return len(self.examples)

    def read_encoded(self, index: int) -> bytes:
        """The bytes of one image's file."""
        return self.encoded[index]

    def first(self, count: int) -> Pictures:
        """The first ones."""
        return Pictures(self.examples[:count], self.encoded[:count])


@dataclass(frozen=True)
class Found:
    """The result of one search among n originals and their n copies.

    Attributes:
      kind: of the copies.
      hits: originals that share a group with their copy.
      wrong: pairs of different images in one group, at least one of them a copy.
      wrong_originals: pairs of originals in one group, by their numbers.
    """

    kind: Kind
    hits: int
    wrong: int
    wrong_originals: frozenset[tuple[int, int]]


def draw_different(
    dataset: ImageDataset, groups: Mapping[str, int], count: int, seed: int
) -> Pictures:
    """Draws `count` images at random, at most one of every group of duplicates.

    Raises:
      UserError: the data has fewer groups.
    """
    members: dict[int, list[Example]] = {}
    for example in dataset.examples:
        members.setdefault(groups[example.id], []).append(example)
    if len(members) < count:
        raise UserError(
            f"{dataset.source} has {len(members):,} images without duplicates, "
            f"fewer than --images and --among together, {count}; choose at most {len(members)}"
        )
    rng = np.random.default_rng(seed)
    numbers = sorted(members)
    chosen = [members[numbers[place]] for place in rng.permutation(len(numbers))[:count]]
    examples = tuple(ones[rng.integers(len(ones))] for ones in chosen)
    encoded = tuple(dataset.read_encoded(dataset.index_of(example.id)) for example in examples)
    return Pictures(examples, encoded)


def copies_of(originals: Pictures, kind: Kind, seed: int) -> Pictures:
    """A copy of each image: decoded, altered, encoded."""
    encoded = [
        kind.copy_of(Image.fromarray(decode_rgb(original, example.id)), _generator(seed, number))
        for number, (example, original) in enumerate(
            zip(originals.examples, originals.encoded, strict=True)
        )
    ]
    return Pictures(originals.examples, tuple(encoded))


def search(
    originals: Pictures, known: Thumbnails, kind: Kind, seed: int, scratch: Path | None = None
) -> Found:
    """Searches originals and copies of one kind together, as an audit does.

    Args:
      originals: the images that are copied.
      known: thumbnails of the originals, and then of other images to search among.
      kind: of the copies.
      seed: of random alterations.
      scratch: see :func:`fakd_jax.audit.matching.search.find_duplicates`.
    """
    count = len(originals)
    copies = read_thumbnails(copies_of(originals, kind, seed), _quietly)
    groups = find_duplicates(joined(known, copies), _quietly, scratch).groups
    return count_found(kind, np.concatenate([groups[:count], groups[-count:]]))


def count_found(kind: Kind, groups: Int[np.ndarray, " 2*n"]) -> Found:
    """Compares the groups of n originals and then n copies with the truth, pairs (i, i + n)."""
    n = len(groups) // 2
    originals, copies = groups[:n], groups[n:]
    crossed = originals[:, None] == copies[None]
    hits = int(crossed.diagonal().sum())
    among_copies = np.triu(copies[:, None] == copies[None], k=1)
    among_originals = np.argwhere(np.triu(originals[:, None] == originals[None], k=1))
    return Found(
        kind=kind,
        hits=hits,
        wrong=int(crossed.sum()) - hits + int(among_copies.sum()),
        wrong_originals=frozenset((int(one), int(other)) for one, other in among_originals),
    )


def different_pairs(n: int) -> int:
    """Number of pairs of different images in a search, at least one of them a copy."""
    return n * (n - 1) + n * (n - 1) // 2


def summarise(found: Sequence[Found], n: int) -> dict[str, Any]:
    """All searches of n originals as JSON.

    A pair counts as found if both images are in one group, even if other pairs connect them. Pairs
    of originals are the same in all searches and count once.

    Returns:
      `kinds`: recall and wrong pairs of each; `precision`: over all searches, with the number of
      different pairs compared.
    """
    originals = frozenset().union(*(one.wrong_originals for one in found))
    right = sum(one.hits for one in found)
    wrong = sum(one.wrong for one in found) + len(originals)
    return {
        "images": n,
        "kinds": [
            {
                "name": one.kind.name,
                "tuned": one.kind.tuned,
                "remark": one.kind.remark,
                **_share(one.hits, n),
                "wrong": one.wrong,
                "different": different_pairs(n),
            }
            for one in found
        ],
        "precision": {
            **_share(right, right + wrong),
            "wrong": wrong,
            "wrong_originals": len(originals),
            "different": len(found) * different_pairs(n) + n * (n - 1) // 2,
        },
    }


def joined(one: Thumbnails, other: Thumbnails) -> Thumbnails:
    """The thumbnails of both."""
    return Thumbnails(
        np.concatenate([one.grey, other.grey]),
        one.digests + other.digests,
        one.sizes + other.sizes,
        np.concatenate([one.coloured, other.coloured]),
    )


def _share(count: int, n: int) -> dict[str, Any]:
    return {
        "count": count,
        "n": n,
        "share": count / n if n else None,
        "ci95": list(wilson_interval(count, n)) if n else None,
    }


def _generator(seed: int, number: int) -> np.random.Generator:
    return np.random.default_rng([seed, number])


def _quietly(line: str) -> None:
    """Searches take seconds and need no progress."""
