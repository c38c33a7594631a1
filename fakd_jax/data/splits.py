"""Which examples are trained on, validated on and tested on, stored by their ids."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fakd_jax.data.dataset import SPLITS, ImageDataset
from fakd_jax.data.stratified import Clusters, deal, draw
from fakd_jax.errors import UserError
from fakd_jax.runtime.atomic_files import write_whole

FORMAT_VERSION = 2
KINDS = ("official", "deduplicated", "grouped", "kfold")
"""The ways of splitting, see :func:`make_split`."""

NEED_GROUPS = ("deduplicated", "grouped", "kfold")


@dataclass(frozen=True)
class Split:
    """The ids of each part, disjoint and sorted, and where they came from.

    Attributes:
      train: what the networks learn from.
      val: what chooses the epoch.
      test: what is reported, and looked at once.
      kind: the way of splitting, see :func:`make_split`.
      seed: of the choice of `val`, and of `test` where it is drawn.
      validation_fraction: the share of the training images meant for `val`; None where the
        source brings its own validation folder.
      fingerprint: of the data set the ids belong to.
      apart: test images with a copy in `train` or `val`, reported apart; empty but for
        `deduplicated`.
      audit: fingerprint of the audit whose groups were kept together; None for `official`.
      folds: into how many parts `kfold` dealt the groups; None for the others.
      fold: which of them is `test`, from 0; None for the others.
    """

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    kind: str
    seed: int
    validation_fraction: float | None
    fingerprint: str
    apart: tuple[str, ...] = ()
    audit: str | None = None
    folds: int | None = None
    fold: int | None = None

    def ids(self, name: str) -> tuple[str, ...]:
        """The ids of `train`, `val` or `test`.

        Raises:
          UserError: for another name.
        """
        if name not in SPLITS:
            raise UserError(f"there is no split {name!r}; use train, val or test")
        ids: tuple[str, ...] = getattr(self, name)
        return ids

    def describe(self) -> str:
        """The kind of split with what fixes it: `kfold 1 of 5, seed 0`."""
        fold = "" if self.fold is None else f" {self.fold} of {self.folds}"
        return f"{self.kind}{fold}, seed {self.seed}"

    def save(self, path: Path) -> None:
        """Writes the split as JSON.

        Raises:
          UserError: the file can't be written.
        """
        write_whole(path, json.dumps({"format_version": FORMAT_VERSION, **asdict(self)}))

    @classmethod
    def load(cls, path: Path, dataset: ImageDataset | None = None) -> Split:
        """Reads what :meth:`save` wrote, in this version or the first.

        Args:
          path: the file.
          dataset: the data that the ids must belong to; None leaves that unchecked.

        Raises:
          UserError: no such file, not a split of this format, or of other data.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            # The first version had official splits only, without the later fields.
            if values.pop("format_version") not in (1, FORMAT_VERSION):
                raise ValueError("another format version")
            parts: dict[str, Any] = {part: tuple(values.pop(part)) for part in SPLITS}
            parts["apart"] = tuple(values.pop("apart", ()))
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
    groups: Mapping[str, int] | None = None,
    audit: str | None = None,
    folds: int = 5,
    fold: int = 0,
) -> Split:
    """Divides a data set into training, validation and test ids.

    Args:
      dataset: the data.
      kind: `official`: test is the source's test folder; validation is the source's own folder
        for it or, where there is none, drawn from each class of the training folder.
        `deduplicated`: as official, but validation is drawn by whole groups of copies, or of the
        source's own folder the images with a copy in training are left out, and test images with
        a copy in training or validation are set apart.
        `grouped`: all images are dealt anew, whole groups of copies at a time: of each class as
        large a share is test as in the source, and of the rest `validation_fraction` is
        validation.
        `kfold`: the groups are dealt into `folds` parts of equal size and class shares; part
        `fold` is test, and of the rest validation is drawn as in `grouped`.
      validation_fraction: the share of each class's n training images that is drawn,
        `floor(fraction · n + 0.5)` of them, at least one and at most n - 1; where groups are
        kept together, as near to it as they allow.
      seed: of that choice. A place in the drawing depends on the seed and the ids only, so it is
        the same on every machine and for every version of NumPy.
      groups: of every id its group of copies; needed by all kinds but `official`.
      audit: fingerprint of the audit that found the groups.
      folds: of `kfold`, at least 2.
      fold: of `kfold`, from 0.

    Returns:
      The split.

    Raises:
      UserError: an unknown kind, a fraction or fold out of range, no training or no test folder,
        a class with too few training images or groups, or no validation or no test image
        without a copy in training.
      ValueError: groups are needed and not given.
    """
    if kind not in KINDS:
        raise UserError(f"config.data.split is {kind!r}; use {', '.join(KINDS)}")
    if not 0 < validation_fraction < 1:
        raise UserError(
            f"the validation fraction is {validation_fraction}; give one between 0 and 1"
        )
    if kind == "kfold" and not (folds >= 2 and 0 <= fold < folds):
        raise UserError(
            f"config.data.fold is {fold} of {folds} folds; give at least 2 folds and a fold "
            "from 0 to one less"
        )
    if kind in NEED_GROUPS and groups is None:
        raise ValueError(f"the {kind} split needs groups of copies")
    clusters = Clusters(dataset, groups if kind in NEED_GROUPS else None)
    val: tuple[str, ...]
    fraction: float | None = validation_fraction
    if kind in ("official", "deduplicated"):
        for name in ("train", "test"):
            if not dataset.ids(name):
                raise UserError(f"{dataset.source} has no folder for the {name} split; add one")
        pool, val, test = dataset.ids("train"), dataset.ids("val"), dataset.ids("test")
        if val:
            fraction = None
            val = _without_copies(val, pool, clusters)
        else:
            val = draw(clusters, pool, validation_fraction, seed)
    else:
        everything = tuple(example.id for example in dataset.examples)
        if kind == "grouped":
            test = draw(clusters, everything, _test_shares(dataset), seed, purpose="test")
        else:
            test = deal(clusters, everything, folds, seed)[fold]
        pool = tuple(sorted(set(everything) - set(test)))
        val = draw(clusters, pool, validation_fraction, seed)
    train = tuple(sorted(set(pool) - set(val)))
    apart = clusters.touched_by(test, (*train, *val)) if kind == "deduplicated" else ()
    if len(apart) == len(test):
        raise UserError(
            f"every test image of {dataset.source} has a copy among its training images; "
            "use config.data.split=grouped"
        )
    return Split(
        train=train,
        val=val,
        test=tuple(sorted(set(test) - set(apart))),
        kind=kind,
        seed=seed,
        validation_fraction=fraction,
        fingerprint=dataset.fingerprint,
        apart=apart,
        audit=audit if kind in NEED_GROUPS else None,
        folds=folds if kind == "kfold" else None,
        fold=fold if kind == "kfold" else None,
    )


def _without_copies(
    val: tuple[str, ...], train: tuple[str, ...], clusters: Clusters
) -> tuple[str, ...]:
    """The source's own validation images that have no copy in training."""
    copied = set(clusters.touched_by(val, train))
    if len(copied) == len(val):
        raise UserError(
            f"every validation image of {clusters.source} has a copy among its training images; "
            "use config.data.split=grouped"
        )
    return tuple(id for id in val if id not in copied)


def _test_shares(dataset: ImageDataset) -> dict[int, float]:
    """The share of each class that lies in the source's own test folder."""
    if not dataset.ids("test"):
        raise UserError(
            f"{dataset.source} has no folder for the test split, whose size a grouped split "
            "follows; add one, or use config.data.split=kfold"
        )
    shares = {}
    for label in range(len(dataset.class_names)):
        own = [example.split == "test" for example in dataset.examples if example.label == label]
        shares[label] = sum(own) / len(own)
    return shares
