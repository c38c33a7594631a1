"""What an audit says about the splits: test images with a training duplicate, groups, conflicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fakd_jax.audit.matching.orientations import ORIENTATIONS
from fakd_jax.audit.matching.pairs import ALTERATIONS, IDENTICAL, Pair
from fakd_jax.audit.record import Audit
from fakd_jax.audit.shortcuts import Shortcut
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.version import __version__

THROUGH_ANOTHER = "through another copy"
"""A test image whose group reaches into training, but which was not itself paired with one."""

SIMILAR = 0.80
"""Correlation above which two different pictures are very similar, like neighbouring slices."""


@dataclass(frozen=True)
class Findings:
    """Everything an audit found: what `audit.json` holds.

    Attributes:
      data: name, version, source and fingerprint of the data.
      audit: the fingerprint of the groups, which splits and evaluations quote.
      inventory: see :func:`fakd_jax.audit.inventory.take_inventory`.
      summary: see :func:`summarise`.
      shortcuts: see :mod:`fakd_jax.audit.shortcuts`.
      method: version of the search, see :mod:`fakd_jax.audit.plan`.
      package_version: of fakd_jax.
    """

    data: dict[str, str]
    audit: str
    inventory: dict[str, Any]
    summary: dict[str, Any]
    shortcuts: tuple[Shortcut, ...]
    method: str
    package_version: str = __version__


@dataclass(frozen=True)
class Duplicate:
    """The training image that a test image is a duplicate of.

    Attributes:
      test: id of the test image.
      training: id of its closest duplicate among the training and validation images.
      orientation: see :class:`fakd_jax.audit.matching.pairs.Pair`; `THROUGH_ANOTHER` where the two
        are connected only by other duplicates.
      alteration: likewise.
      whole: correlation; None where the two were not compared.
    """

    test: str
    training: str
    orientation: str
    alteration: str
    whole: float | None


def duplicates_in_training(
    audit: Audit, tested: Iterable[str], trained_on: Iterable[str]
) -> dict[str, Duplicate]:
    """Finds the closest training duplicate of every tested image that has one.

    Args:
      audit: of the data.
      tested: ids.
      trained_on: ids of training and validation images.

    Returns:
      The duplicates by the id of the tested image; images without one are left out.
    """
    tested, trained = set(tested), set(trained_on)
    reached = audit.with_duplicate_in(tested, trained)
    partners: dict[str, list[tuple[Pair[str], str]]] = {id: [] for id in reached}
    for pair in audit.pairs:
        for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
            if one in reached and other in trained:
                partners[one].append((pair, other))
    of_group: dict[int, str] = {}
    for id in sorted(trained):
        of_group.setdefault(audit.groups[id], id)
    return {id: _closest(id, partners[id], of_group[audit.groups[id]]) for id in sorted(reached)}


def _closest(id: str, partners: list[tuple[Pair[str], str]], otherwise: str) -> Duplicate:
    if not partners:
        return Duplicate(id, otherwise, THROUGH_ANOTHER, THROUGH_ANOTHER, None)
    pair, training = min(
        partners, key=lambda found: (found[0].alteration != IDENTICAL, -found[0].whole, found[1])
    )
    return Duplicate(id, training, pair.orientation, pair.alteration, pair.whole)


def summarise(dataset: ImageDataset, audit: Audit) -> dict[str, Any]:
    """Returns the findings about the source's own splits, as JSON can hold them.

    Its keys are `groups`, `copies`, `duplicates` (by class of the test images), `conflicts` and
    `similar`.
    """
    test = dataset.ids("test")
    training = [*dataset.ids("train"), *dataset.ids("val")]
    duplicates = duplicates_in_training(audit, test, training)
    sizes = Counter(len(ids) for ids in audit.members().values())
    kinds = Counter((pair.orientation, pair.alteration) for pair in audit.pairs)
    return {
        "groups": {
            "number": sum(sizes.values()),
            "images": sum(size * number for size, number in sizes.items()),
            "largest": max(sizes, default=0),
            "sizes": {str(size): sizes[size] for size in sorted(sizes)},
        },
        "copies": [
            {"orientation": orientation, "alteration": alteration, "pairs": number}
            for (orientation, alteration), number in kinds.most_common()
        ],
        "duplicates": _duplicates_by_class(dataset, test, duplicates),
        "conflicts": conflicts(dataset, audit),
        "similar": _similar(audit, set(test) - set(duplicates), set(training)),
    }


def conflicts(dataset: ImageDataset, audit: Audit) -> list[list[str]]:
    """The ids of every group whose images have different labels."""
    label = {example.id: example.label for example in dataset.examples}
    return [ids for ids in audit.members().values() if len({label[id] for id in ids}) > 1]


def _duplicates_by_class(
    dataset: ImageDataset, test: Iterable[str], duplicates: dict[str, Duplicate]
) -> dict[str, Any]:
    """For every class the test images, and those with a duplicate by how the two differ."""
    label = {example.id: dataset.class_names[example.label] for example in dataset.examples}
    orientations = (*(orientation.name for orientation in ORIENTATIONS), THROUGH_ANOTHER)
    rows: dict[str, Any] = {
        name: {
            "test_images": 0,
            "with_duplicate": 0,
            "by_orientation": dict.fromkeys(orientations, 0),
            "by_alteration": dict.fromkeys((*ALTERATIONS, THROUGH_ANOTHER), 0),
        }
        for name in dataset.class_names
    }
    for id in test:
        row = rows[label[id]]
        row["test_images"] += 1
        if duplicate := duplicates.get(id):
            row["with_duplicate"] += 1
            row["by_orientation"][duplicate.orientation] += 1
            row["by_alteration"][duplicate.alteration] += 1
    return rows


def _similar(audit: Audit, test: set[str], training: set[str]) -> dict[str, Any]:
    """Test images without a duplicate in training that have a very similar picture there."""
    found = {
        one
        for pair in audit.rejected
        if pair.whole >= SIMILAR
        for one, other in ((pair.first, pair.second), (pair.second, pair.first))
        if one in test and other in training
    }
    return {"correlation": SIMILAR, "test_images": len(found), "of": len(test)}
