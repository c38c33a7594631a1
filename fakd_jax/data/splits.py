"""Training, validation and test sets, stored by the ids of their examples."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fakd_jax.data.dataset import SPLITS, ImageDataset
from fakd_jax.data.groups import join_groups
from fakd_jax.data.matching import match_by_content
from fakd_jax.data.pixels.frames import file_id
from fakd_jax.data.stratified import Clusters, deal, draw, draw_nested
from fakd_jax.errors import UserError
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.runtime.json_text import parse_json, require_shape

FORMAT_VERSION = 3
_SHAPE = {
    "format_version": int,
    **{part: [str] for part in SPLITS},
    "apart?": [str],
    "kind?": str,
    "seed?": int,
    "validation_fraction?": (float, None),
    "fingerprint?": str,
    "audit?": (str, None),
    "folds?": (int, None),
    "fold?": (int, None),
    "content?": {str: str},
    "groups?": {str: int},
    "given_groups?": (str, None),
    "labelled?": [str],
}
KINDS = ("official", "deduplicated", "grouped", "kfold")
"""The kinds of split, see :func:`make_split`."""

PARTS = (*SPLITS, "apart")
NEED_GROUPS = ("deduplicated", "grouped", "kfold")
UNSPLIT_TEST_SHARE = 0.2
"""Of each class's images, in a grouped split of a source without splits."""


@dataclass(frozen=True)
class Split:
    """The ids of each part, disjoint and sorted, and their origin.

    Attributes:
      train: the networks are trained on these.
      val: chooses the epoch.
      test: reported.
      kind: see :func:`make_split`.
      seed: of the choice of `val`, and of `test` if it is drawn.
      validation_fraction: share of the training images drawn for `val`; None if the source has a
        validation folder.
      fingerprint: of the data set.
      apart: test images with a duplicate in `train` or `val`, reported separately; only for
        `deduplicated`.
      audit: fingerprint of the audit that found the groups; None for `official`.
      folds: number of folds of `kfold`, else None.
      fold: the fold that is `test`, from 0, else None.
      content: of every image in `train`, `val`, `test` and `apart`, by id, see
        :func:`fakd_jax.data.dataset.content_of`; empty in a file of an earlier version.
      groups: the group of every image that had to stay together with others, by id.
      given_groups: fingerprint of the groups that the user gave; None if none were.
      labelled: those of `train` whose labels may be used, sorted; None for all.
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
    content: dict[str, str] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    given_groups: str | None = None
    labelled: tuple[str, ...] | None = None

    @property
    def train_labelled(self) -> tuple[str, ...]:
        """Those of `train` whose labels may be used."""
        return self.train if self.labelled is None else self.labelled

    def only_labelled(self) -> Split:
        """The split without the training images whose labels may not be used."""
        return replace(self, train=self.train_labelled, labelled=None)

    def ids(self, name: str) -> tuple[str, ...]:
        """The ids of `train`, `val` or `test`.

        Raises:
          UserError: another name.
        """
        if name not in SPLITS:
            raise UserError(f"there is no split {name!r}; use train, val or test")
        ids: tuple[str, ...] = getattr(self, name)
        return ids

    def describe(self) -> str:
        """The split in a few words: `kfold 1 of 5, seed 0`."""
        fold = "" if self.fold is None else f" {self.fold} of {self.folds}"
        labelled = "" if self.labelled is None else f", {self.describe_labels()}"
        return f"{self.kind}{fold}, seed {self.seed}{labelled}"

    def describe_labels(self) -> str:
        """How many labels may be used: `285 of 4,570 training images are labelled`."""
        labelled, every = len(self.train_labelled), len(self.train)
        return f"{labelled:,} of {every:,} training images are labelled"

    def found_in(self, dataset: ImageDataset) -> Split:
        """The split in the ids of other data, as far as its images are there.

        Images are recognised by their content, not by their names; a split of an earlier version
        recognises none in other data, and learns the content in its own.
        """
        present = {example.id: example.content for example in dataset.examples}
        if self.fingerprint == dataset.fingerprint:
            used = (id for part in PARTS for id in getattr(self, part))
            return self if self.content else replace(self, content={id: present[id] for id in used})
        found = match_by_content(self.content, present)
        parts: dict[str, Any] = {
            part: tuple(sorted(found[id] for id in getattr(self, part) if id in found))
            for part in PARTS
        }
        return replace(
            self,
            **parts,
            labelled=None
            if self.labelled is None
            else tuple(sorted(found[id] for id in self.labelled if id in found)),
            fingerprint=dataset.fingerprint,
            content={there: self.content[id] for id, there in found.items()},
            groups={found[id]: group for id, group in self.groups.items() if id in found},
        )

    def save(self, path: Path) -> None:
        """Writes the split as JSON.

        Raises:
          UserError: the file cannot be written.
        """
        values = asdict(self)
        if self.labelled is None:
            del values["labelled"]
        write_whole(path, json.dumps({"format_version": FORMAT_VERSION, **values}))

    @classmethod
    def load(cls, path: Path, dataset: ImageDataset | None = None) -> Split:
        """Reads a file that :meth:`save` wrote, in this format version or an earlier one.

        Args:
          path: the file.
          dataset: the data that the ids must belong to, and which knows their content; None skips
            that check.

        Raises:
          UserError: no such file, not a split of this format, or of other data.
        """
        try:
            values = parse_json(path.read_text(encoding="utf-8"))
            require_shape(values, _SHAPE)
            # The first format had official splits only, the first two no content.
            if values.pop("format_version") not in range(1, FORMAT_VERSION + 1):
                raise ValueError("another format version")
            parts: dict[str, Any] = {part: tuple(values.pop(part)) for part in SPLITS}
            parts["apart"] = tuple(values.pop("apart", ()))
            if "labelled" in values:
                parts["labelled"] = tuple(values.pop("labelled"))
                if not parts["labelled"] or not {*parts["labelled"]} <= {*parts["train"]}:
                    raise ValueError("labelled lists no image, or one that is not in train")
            split = cls(**parts, **values)
        except FileNotFoundError as error:
            raise UserError(f"there is no split file {path}") from error
        except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
            raise UserError(
                f"{path} is not a split of this version ({error}); delete it to create it again"
            ) from error
        if dataset is not None and dataset.fingerprint != split.fingerprint:
            raise UserError(
                f"{path} belongs to other data (fingerprint {split.fingerprint[:12]}) than "
                f"{dataset.source} ({dataset.fingerprint[:12]}); give the data it was made for, "
                "or another workdir"
            )
        return split if dataset is None else split.found_in(dataset)


def kind_for(kind: str, dataset: ImageDataset) -> str:
    """The kind of split that a data set gets: without splits of its own, `official` is `grouped`.

    Raises:
      UserError: `deduplicated`, of a source without splits.
    """
    if not dataset.is_unsplit or kind not in ("official", "deduplicated"):
        return kind
    if kind == "deduplicated":
        raise UserError(
            f"{dataset.source} has no split folders, hence no test images to set apart; use "
            "config.data.split=grouped or kfold"
        )
    return "grouped"


def make_split(
    dataset: ImageDataset,
    *,
    kind: str = "official",
    validation_fraction: float = 0.2,
    labelled_share: float = 1.0,
    seed: int,
    groups: Mapping[str, int] | None = None,
    audit: str | None = None,
    given_groups: str | None = None,
    folds: int = 5,
    fold: int = 0,
) -> Split:
    """Divides a data set into training, validation and test ids.

    The kinds:

    - `official`: test is the source's test folder; validation is its validation folder or, without
      one, drawn from each class of the training folder, in whole groups of the user's if there are
      any. Images of one file, such as the slices of a volume, stay together wherever images are
      drawn; the official test images are the source's.
    - `deduplicated`: as official, but groups of duplicates stay together when validation is drawn,
      images of a validation folder with a duplicate in training are left out, and test images
      with a duplicate in training or validation are set apart.
    - `grouped`: all images are divided anew, in whole groups of duplicates: test has the same share
      of each class as in the source, or `UNSPLIT_TEST_SHARE` if that has no splits; validation
      `validation_fraction` of the rest.
    - `kfold`: the groups are divided into `folds` parts of equal size and class shares; part `fold`
      is test. Validation is as large as in `grouped`, but taken from the next part, and from those
      after it if that is not enough: with v = `validation_fraction`, an image is in the validation
      sets of at most ceil(v · (folds - 1)) folds, and in the training sets of all others that do
      not test it. With two folds, what validates one is in no training set.

    Args:
      dataset: the data.
      kind: one of :data:`KINDS`.
      validation_fraction: share of each class's n training images to draw:
        `floor(fraction · n + 0.5)`, at least 1 and at most n - 1, or as close to it as the groups
        allow.
      labelled_share: share of each class's training images whose labels may be used, see
        :func:`fakd_jax.data.stratified.draw_nested`: those of a smaller share are among those of a
        larger one. Validation and test images keep their labels.
      seed: of the draws. They depend on the seed and the ids alone, not on the machine or the
        version of NumPy.
      groups: the group of every id, of duplicates or joined with others that must stay together;
        needed by all kinds but `official`.
      audit: fingerprint of the audit that found the groups.
      given_groups: fingerprint of the groups that the audit's were joined with.
      folds: of `kfold`, at least 2.
      fold: of `kfold`, from 0.

    Raises:
      UserError: an unknown kind, a fraction or fold out of range, a fraction so large that images
        would be in no fold's training set, no training or test images, classes without a training
        image, a class with too few training images or groups, or no validation or test image
        without a duplicate in training.
      ValueError: groups are needed and not given.
    """
    if kind not in KINDS:
        raise UserError(f"config.data.split is {kind!r}; use {', '.join(KINDS)}")
    if not 0 < validation_fraction < 1:
        raise UserError(
            f"the validation fraction is {validation_fraction}; give one between 0 and 1"
        )
    if not 0 < labelled_share <= 1:
        raise UserError(
            f"config.data.labelled_share is {labelled_share}; give more than 0 and at most 1"
        )
    if kind == "kfold":
        _check_folds(folds, fold, validation_fraction)
    if kind in NEED_GROUPS and groups is None:
        raise ValueError(f"the {kind} split needs groups of duplicates")
    groups = groups if kind in NEED_GROUPS or given_groups is not None else None
    if files := files_of_several(dataset):
        groups = join_groups(groups or {}, files)
    clusters = Clusters(dataset, groups)
    val: tuple[str, ...]
    fraction: float | None = validation_fraction
    if kind in ("official", "deduplicated"):
        for name in ("train", "test"):
            if not dataset.ids(name):
                raise UserError(
                    f"{dataset.source} has no images for the {name} split; add some, or use "
                    "config.data.split=kfold, which deals all images"
                )
        pool, val, test = dataset.ids("train"), dataset.ids("val"), dataset.ids("test")
        if val:
            fraction = None
            if kind == "deduplicated":
                val = _without_duplicates(val, pool, clusters)
        else:
            val = draw(clusters, pool, validation_fraction, seed)
    else:
        everything = tuple(example.id for example in dataset.examples)
        candidates = None
        if kind == "grouped":
            test = draw(clusters, everything, _test_shares(dataset), seed, purpose="test")
        else:
            parts = deal(clusters, everything, folds, seed)
            test, *others = parts[fold:] + parts[:fold]
            candidates = others[: _parts_for_validation(validation_fraction, folds)]
        pool = tuple(sorted(set(everything) - set(test)))
        val = draw(clusters, pool, validation_fraction, seed, candidates=candidates)
    train = tuple(sorted(set(pool) - set(val)))
    _require_every_class(dataset, train)
    apart = clusters.touched_by(test, (*train, *val)) if kind == "deduplicated" else ()
    if len(apart) == len(test):
        raise UserError(
            f"every test image of {dataset.source} has a duplicate among its training images; "
            "use config.data.split=grouped"
        )
    labelled = None
    if labelled_share < 1:
        labelled = draw_nested(clusters, train, labelled_share, seed, purpose="labelled")
    used = {*train, *val, *test}
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
        content={example.id: example.content for example in dataset.examples if example.id in used},
        groups=clusters.shared(),
        given_groups=given_groups,
        labelled=labelled,
    )


def files_of_several(dataset: ImageDataset) -> dict[str, str]:
    """The file of every image by id, if any file has several: its images stay together."""
    files = {example.id: file_id(example.id) for example in dataset.examples}
    return files if len(set(files.values())) < len(files) else {}


def _check_folds(folds: int, fold: int, validation_fraction: float) -> None:
    if not (folds >= 2 and 0 <= fold < folds):
        raise UserError(
            f"config.data.fold is {fold} of {folds} folds; give at least 2 folds and a fold "
            "from 0 to one less"
        )
    if folds > 2 and _parts_for_validation(validation_fraction, folds) == folds - 1:
        raise UserError(
            f"with config.data.validation_fraction={validation_fraction} some images would be in "
            f"no training set of the {folds} folds; give at most {(folds - 2) / (folds - 1):.2g}"
        )


def _parts_for_validation(fraction: float, folds: int) -> int:
    """The number of folds' parts that hold `fraction` of all parts but one."""
    return math.ceil(round(fraction * (folds - 1), 9))


def _without_duplicates(
    val: tuple[str, ...], train: tuple[str, ...], clusters: Clusters
) -> tuple[str, ...]:
    """The validation images that have no duplicate in training."""
    duplicates = set(clusters.touched_by(val, train))
    if len(duplicates) == len(val):
        raise UserError(
            f"every validation image of {clusters.source} has a duplicate among its training "
            "images; use config.data.split=grouped"
        )
    return tuple(id for id in val if id not in duplicates)


def _require_every_class(dataset: ImageDataset, train: Iterable[str]) -> None:
    """Refuses classes that nothing could be learnt of."""
    ids = set(train)
    known = {example.label for example in dataset.examples if example.id in ids}
    names = [name for label, name in enumerate(dataset.class_names) if label not in known]
    if names:
        raise UserError(
            f"{dataset.source} has no training image of {', '.join(names)}; add some, use "
            "config.data.split=kfold, which deals all images, or leave the class out with "
            f"config.data.class_map={names[0]}="
        )


def _test_shares(dataset: ImageDataset) -> dict[int, float]:
    """The share of each class in the source's test folder."""
    if dataset.is_unsplit:
        return dict.fromkeys(range(len(dataset.class_names)), UNSPLIT_TEST_SHARE)
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
