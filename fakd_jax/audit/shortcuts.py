"""What classifiers reach without learning about tumours: nearest neighbours, files, brightness.

A classifier that looks an image up among the training images, or that depends only on the file's
size and the picture's brightness, should do little better than chance. Where it does well on the
test images, a network's accuracy on them says little.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Shaped

from fakd_jax.audit.inventory import FileFacts
from fakd_jax.audit.matching.appearance import Thumbnails, halve
from fakd_jax.audit.matching.candidates import unit_rows

FOLDS = 5
TREES = 200
BLOCK = 1024
TRIED_ALL = 10_000
LOOKED_UP = 2_000
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
    seed: int = 0,
) -> list[Shortcut]:
    """Classifies every image like the one it correlates best with, as it is or mirrored.

    Of more than `TRIED_ALL` images, `LOOKED_UP` are drawn with the seed and looked up among all.

    Returns:
      Test images looked up among the training images: all, those with a duplicate there and those
      without; and every image looked up among all that are not its duplicates.
    """
    grey = thumbnails.grey
    in_test = np.array([split == "test" for split in splits])
    shortcuts = []
    if in_test.any() and not in_test.all():
        test, drawn = _draw(np.flatnonzero(in_test), LOOKED_UP, seed)
        training = np.flatnonzero(~in_test)
        found = labels[_nearest(grey, test, training)]
        duplicated = np.isin(groups[test], groups[training])
        for name, chosen in (
            ("all test images", None),
            ("test images with a duplicate in training", duplicated),
            ("test images without one", ~duplicated),
        ):
            name += drawn
            shortcuts += _score("nearest training image", name, found, labels[test], chosen)
    every = np.arange(len(labels))
    images, drawn = _draw(every, LOOKED_UP, seed)
    found = labels[_nearest(grey, images, every, groups)]
    return shortcuts + _score(
        "nearest image that is not a duplicate", f"all images{drawn}", found, labels[images]
    )


def from_metadata(
    thumbnails: Thumbnails,
    facts: Sequence[FileFacts],
    labels: Int[np.ndarray, " N"],
    groups: Int[np.ndarray, " N"],
    seed: int = 0,
) -> list[Shortcut]:
    """Classifies every image by its file alone, and by its file and overall brightness.

    A random forest, cross-validated with duplicate groups kept together; the seed is that of the
    folds and the trees. Of more than `TRIED_ALL` images that many are drawn with the seed.

    Returns:
      Two shortcuts over all images; none where a class has fewer groups than there are folds.
    """
    import joblib
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    images, drawn = _draw(np.arange(len(labels)), TRIED_ALL, seed)
    labels, groups = labels[images], groups[images]
    fewest = min(len(set(groups[labels == label])) for label in set(labels.tolist()))
    if fewest < FOLDS:
        return []
    file = _file_features(thumbnails, facts)[images]
    brightness = _in_blocks(_brightness_features, thumbnails.grey, images)
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    shortcuts = []
    for name, features in (
        ("size, format and channels of the file", file),
        ("file and overall brightness", np.hstack([file, brightness])),
    ):
        forest = RandomForestClassifier(TREES, min_samples_leaf=2, random_state=seed)
        # Threads work on folds: a forest sums its threads' votes in the order in which they come.
        with joblib.parallel_config("threading"):
            found = cross_val_predict(forest, features, labels, groups=groups, cv=folds, n_jobs=-1)
        shortcuts += _score(name, f"all images{drawn}, {FOLDS} folds by group", found, labels)
    return shortcuts


def _draw(
    images: Int[np.ndarray, " N"], number: int, seed: int
) -> tuple[Int[np.ndarray, " n"], str]:
    """Some of too many images, sorted, and words for that; else all of them and no words."""
    if len(images) <= TRIED_ALL:
        return images, ""
    drawn = np.random.default_rng(seed).choice(images, number, replace=False)
    return np.sort(drawn), f", {number:,} drawn"


def _nearest(
    grey: Shaped[np.ndarray, "N S S"],
    images: Int[np.ndarray, " n"],
    among: Int[np.ndarray, " m"],
    groups: Int[np.ndarray, " N"] | None = None,
) -> Int[np.ndarray, " n"]:
    """The image of `among` that correlates best with each of `images`, as it is or mirrored.

    With `groups`, the images of its own group are left out.
    """
    nearest, best = np.full(len(images), among[0]), np.full(len(images), -np.inf)
    for first in range(0, len(among), TRIED_ALL):
        others = among[first : first + TRIED_ALL]
        small = _in_blocks(halve, grey, others)
        plain, mirrored = unit_rows(small), unit_rows(small[..., ::-1])
        for start in range(0, len(images), BLOCK):
            part = slice(start, start + BLOCK)
            rows = unit_rows(_in_blocks(halve, grey, images[part]))
            likeness = np.maximum(rows @ plain.T, rows @ mirrored.T)
            if groups is not None:
                likeness[groups[images[part], None] == groups[None, others]] = -np.inf
            place, value = likeness.argmax(axis=1), likeness.max(axis=1)
            better = value > best[part]
            nearest[part] = np.where(better, others[place], nearest[part])
            best[part] = np.where(better, value, best[part])
    return nearest


def _in_blocks(
    of: Callable[[Float32[np.ndarray, "n S S"]], Float[np.ndarray, "n ..."]],
    grey: Shaped[np.ndarray, "N S S"],
    images: Int[np.ndarray, " m"],
) -> Float[np.ndarray, "m ..."]:
    """What `of` makes of images, few of which are in memory as float32 at a time."""
    blocks = [images[start : start + BLOCK] for start in range(0, len(images), BLOCK)]
    return np.concatenate([of(np.asarray(grey[block], np.float32)) for block in blocks])


def _file_features(thumbnails: Thumbnails, facts: Sequence[FileFacts]) -> Float[np.ndarray, "N F"]:
    width, height = np.array(thumbnails.sizes, float).T
    length = np.array([fact.bytes for fact in facts], float)
    jpeg = np.array([fact.format == "JPEG" for fact in facts], float)
    channels = np.array([fact.channels for fact in facts], float)
    return np.stack([width, height, width / height, length, jpeg, channels], axis=1)


def _brightness_features(grey: Float32[np.ndarray, "N S S"]) -> Float[np.ndarray, "N F"]:
    grey = grey.reshape(len(grey), -1)
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
    return [Shortcut(name, images, right, n, float(np.max(np.bincount(labels)) / n))]
