"""Which examples are trained on, validated on and tested on, stored by their ids."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fakd_jax.data.dataset import SPLITS, Example, ImageDataset
from fakd_jax.errors import UserError
from fakd_jax.files import write_whole

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Split:
    """The ids of each part, disjoint and sorted, and where they came from.

    Attributes:
      train: what the networks learn from.
      val: what chooses the epoch.
      test: what is reported, and looked at once.
      kind: the way of splitting, see :func:`make_split`.
      seed: of the choice of `val`.
      validation_fraction: the share of the training images meant for `val`; None where the
        source brings its own validation folder.
      fingerprint: of the data set the ids belong to.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    kind: str
    seed: int
    validation_fraction: float | None
    fingerprint: str

    def ids(self, name: str) -> tuple[str, ...]:
        """The ids of `train`, `val` or `test`.

        Raises:
          UserError: for another name.
        """
        if name not in SPLITS:
            raise UserError(f"there is no split {name!r}; use train, val or test")
        ids: tuple[str, ...] = getattr(self, name)
        return ids

    def save(self, path: Path) -> None:
        """Writes the split as JSON.

        Raises:
          UserError: the file can't be written.
        """
        write_whole(path, json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}))

    @classmethod
    def load(cls, path: Path, dataset: ImageDataset | None = None) -> Split:
        """Reads what :meth:`save` wrote.

        Args:
          path: the file.
          dataset: the data that the ids must belong to; None leaves that unchecked.

        Raises:
          UserError: no such file, not a split of this format, or of other data.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if values.pop("format_version") != FORMAT_VERSION:
                raise ValueError("another format version")
            parts: dict[str, Any] = {part: tuple(values.pop(part)) for part in SPLITS}
            split = cls(**parts, **values)
        except FileNotFoundError as error:
            raise UserError(f"there is no split file {path}") from error
        except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
            raise UserError(
                f"{path} is not a split of this version ({error}); delete it to have it made anew"
            ) from error
        if dataset is not None and dataset.fingerprint != split.fingerprint:
            raise UserError(
                f"{path} belongs to other data (fingerprint {split.fingerprint[:12]}) than "
                f"{dataset.source} ({dataset.fingerprint[:12]}); give the data it was made for, "
                "or another workdir"
            )
        return split


def make_split(
    dataset: ImageDataset,
    *,
    kind: str = "official",
    validation_fraction: float = 0.2,
    seed: int,
) -> Split:
    """Divides a data set into training, validation and test ids.

    Args:
      dataset: the data.
      kind: `official`: test is the source's test folder; validation is the source's own
        folder for it or, where there is none, drawn from each class of the training folder.
      validation_fraction: the share of each class's n training images that is drawn,
        `floor(fraction · n + 0.5)` of them, at least one and at most n - 1.
      seed: of that choice. An image's place in the drawing depends on the seed and its id
        only, so it is the same on every machine and for every version of NumPy.

    Returns:
      The split.

    Raises:
      UserError: an unknown kind, a fraction not between 0 and 1, no training or no test
        folder, or a class with a single training image.
    """
    if kind not in SPLITTERS:
        raise UserError(f"config.data.split is {kind!r}; use {' or '.join(SPLITTERS)}")
    if not 0 < validation_fraction < 1:
        raise UserError(
            f"the validation fraction is {validation_fraction}; give one between 0 and 1"
        )
    return SPLITTERS[kind](dataset, validation_fraction, seed)


def _official(dataset: ImageDataset, validation_fraction: float, seed: int) -> Split:
    for name in ("train", "test"):
        if not dataset.ids(name):
            raise UserError(f"{dataset.source} has no folder for the {name} split; add one")
    train, val = dataset.ids("train"), dataset.ids("val")
    fraction = None
    if not val:
        fraction = validation_fraction
        val = _draw_by_class(dataset, validation_fraction, seed)
        train = tuple(sorted(set(train) - set(val)))
    return Split(
        train=train,
        val=val,
        test=dataset.ids("test"),
        kind="official",
        seed=seed,
        validation_fraction=fraction,
        fingerprint=dataset.fingerprint,
    )


SPLITTERS: dict[str, Callable[[ImageDataset, float, int], Split]] = {"official": _official}
"""The ways of splitting by name; add one here and it can be configured."""


def _draw_by_class(dataset: ImageDataset, fraction: float, seed: int) -> tuple[str, ...]:
    """The ids drawn for validation from each class of the training folder, sorted."""
    by_class: dict[int, list[Example]] = defaultdict(list)
    for example in dataset.examples:
        if example.split == "train":
            by_class[example.label].append(example)
    drawn: list[str] = []
    for label, examples in by_class.items():
        if len(examples) < 2:
            raise UserError(
                f"the class {dataset.class_names[label]} of {dataset.source} has a single "
                "training image, and validation needs one too; add images"
            )
        number = min(max(math.floor(fraction * len(examples) + 0.5), 1), len(examples) - 1)
        shuffled = sorted(examples, key=lambda example: _place(seed, example.id))
        drawn.extend(example.id for example in shuffled[:number])
    return tuple(sorted(drawn))


def _place(seed: int, id: str) -> str:
    return sha256(f"{seed}\0{id}".encode()).hexdigest()
