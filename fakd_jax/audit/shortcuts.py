"""What classifiers reach without learning about tumours: nearest neighbours, files, brightness.

A classifier that looks an image up among the training images, or that depends only on the file's
size and the picture's brightness, should do little better than chance. Where it does well on the
test images, a network's accuracy on them says little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from fakd_jax.audit.inventory import FileFacts
from fakd_jax.audit.matching.appearance import Thumbnails, halve
from fakd_jax.audit.matching.candidates import unit_rows

FOLDS = 5
TREES = 200
BLOCK = 1024
DARK = 16
"""Grey levels up to which a pixel counts as background."""


@dataclass(frozen=True)
class Shortcut:
    """How well a classifier without medical knowledge does.

    Attributes:
      name: its input.
      images: which images it was tried on.
      right: how many of them it classified correctly.
      n: their number.
      chance: share of the most frequent class among them.
    """

    name: str
    images: str
    right: int
    n: int
    chance: float


def nearest_neighbour(
    thumbnails: Thumbnails,
    labels: Int[np.ndarray, " N"],
    splits: Sequence[str],
    groups: Int[np.ndarray, " N"],
) -> list[Shortcut]:
    """Classifies every image like the one it correlates best with, as it is or mirrored.

    Returns:
      Test images looked up among the training images: all, those with a duplicate there and those
      without; and every image looked up among all that are not its duplicates.
    """
    small = halve(thumbnails.grey)
    in_test = np.array([split == "test" for split in splits])
    shortcuts = []
    if in_test.any() and not in_test.all():
        training = np.flatnonzero(~in_test)
        found = labels[training[_nearest(small[in_test], small[training])]]
        duplicated = np.isin(groups[in_test], groups[training])
        for name, chosen in (
            ("all test images", None),
            ("test images with a duplicate in training", duplicated),
            ("test images without one", ~duplicated),
        ):
            shortcuts += _score("nearest training image", name, found, labels[in_test], chosen)
    found = labels[_nearest(small, small, groups)]
    return shortcuts + _score("nearest image that is not a duplicate", "all images", found, labels)


def from_metadata(
    thumbnails: Thumbnails,
    facts: Sequence[FileFacts],
    labels: Int[np.ndarray, " N"],
    groups: Int[np.ndarray, " N"],
    seed: int = 0,
) -> list[Shortcut]:
    """Classifies every image by its file alone, and by its file and overall brightness.

    A random forest, cross-validated with duplicate groups kept together; the seed is that of the
    folds and the trees.

    Returns:
      Two shortcuts over all images; none where a class has fewer groups than there are folds.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    fewest = min(len(set(groups[labels == label])) for label in set(labels.tolist()))
    if fewest < FOLDS:
        return []
    file = _file_features(thumbnails, facts)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    shortcuts = []
    for name, features in (
        ("size, format and channels of the file", file),
        ("file and overall brightness", np.hstack([file, _brightness_features(thumbnails)])),
    ):
        forest = RandomForestClassifier(TREES, min_samples_leaf=2, random_state=seed, n_jobs=-1)
        found = cross_val_predict(forest, features, labels, groups=groups, cv=folds)
        shortcuts += _score(name, f"all images, {FOLDS} folds by group", found, labels)
    return shortcuts


def _nearest(
    images: Float32[np.ndarray, "N S S"],
    among: Float32[np.ndarray, "M S S"],
    groups: Int[np.ndarray, " M"] | None = None,
) -> Int[np.ndarray, " N"]:
    """The index of the image of `among` that correlates best with each, as it is or mirrored.

    With `groups`, `images` are `among`, and an image's own group is left out.
    """
    rows, plain, mirrored = unit_rows(images), unit_rows(among), unit_rows(among[..., ::-1])
    nearest = np.empty(len(images), np.int64)
    for start in range(0, len(images), BLOCK):
        part = slice(start, start + BLOCK)
        likeness = np.maximum(rows[part] @ plain.T, rows[part] @ mirrored.T)
        if groups is not None:
            likeness[groups[part, None] == groups[None]] = -np.inf
        nearest[part] = likeness.argmax(axis=1)
    return nearest


def _file_features(thumbnails: Thumbnails, facts: Sequence[FileFacts]) -> Float[np.ndarray, "N F"]:
    width, height = np.array(thumbnails.sizes, float).T
    length = np.array([fact.bytes for fact in facts], float)
    jpeg = np.array([fact.format == "JPEG" for fact in facts], float)
    channels = np.array([fact.channels for fact in facts], float)
    return np.stack([width, height, width / height, length, jpeg, channels], axis=1)


def _brightness_features(thumbnails: Thumbnails) -> Float[np.ndarray, "N F"]:
    grey = thumbnails.grey.reshape(len(thumbnails.grey), -1)
    return np.stack(
        [grey.mean(axis=1), grey.std(axis=1), grey.max(axis=1), (grey < DARK).mean(axis=1)], axis=1
    )


def _score(
    name: str,
    images: str,
    found: Int[np.ndarray, " N"],
    labels: Int[np.ndarray, " N"],
    chosen: Bool[np.ndarray, " N"] | None = None,
) -> list[Shortcut]:
    """One shortcut over the chosen images, by default all; none where no image is chosen."""
    if chosen is not None:
        found, labels = found[chosen], labels[chosen]
    if not (n := len(labels)):
        return []
    right = int((found == labels).sum())
    return [Shortcut(name, images, right, n, float(np.bincount(labels).max() / n))]
