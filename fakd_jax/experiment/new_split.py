"""The split of a new run: which kind, and what must stay together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fakd_jax.audit.record import audit_duplicates
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.groups import fingerprint_of_groups, join_groups, read_groups
from fakd_jax.data.splits import (
    NEED_GROUPS,
    UNSPLIT_TEST_SHARE,
    Split,
    files_of_several,
    kind_for,
    make_split,
)
from fakd_jax.experiment.settings import ExperimentConfig
from fakd_jax.runs.files import SPLIT_FILE
from fakd_jax.training.metric_log import LOGGER
from fakd_jax.training.seeds import derive_seed


def given_groups(config: ExperimentConfig, dataset: ImageDataset) -> dict[str, str] | None:
    """The groups of `config.data.groups`, else those of the data; None if there are none."""
    if config.data.groups:
        return read_groups(config.data.groups, dataset, LOGGER.info)
    return dict(dataset.groups) or None


def new_split(
    config: ExperimentConfig, dataset: ImageDataset, workdir: Path, given: Mapping[str, str] | None
) -> Split:
    """Makes and stores the split of a new run, after an audit for duplicates if it needs one.

    Args:
      config: of the run.
      dataset: its data.
      workdir: gets `split.json`.
      given: groups that must stay together, by id; None for none.

    Raises:
      UserError: see :func:`fakd_jax.data.splits.make_split`.
    """
    kind = kind_for(config.data.split, dataset)
    if kind != config.data.split:
        LOGGER.info(
            "data: the source has no splits, so config.data.split=%s is %s: by seed, %d %% of each "
            "class become test images, duplicates and groups together",
            config.data.split,
            kind,
            round(100 * UNSPLIT_TEST_SHARE),
        )
    searched = kind in NEED_GROUPS
    audit = audit_duplicates(dataset, config.data.cache_dir, LOGGER.info) if searched else None
    groups = audit.groups if audit else None
    if given:
        groups = join_groups(groups or {}, given)
    split = make_split(
        dataset,
        kind=kind,
        validation_fraction=config.data.validation_fraction,
        labelled_share=config.data.labelled_share,
        seed=derive_seed(config.seed, "split"),
        groups=groups,
        audit=audit.fingerprint if audit else None,
        given_groups=fingerprint_of_groups(given) if given else None,
        folds=config.data.folds,
        fold=config.data.fold,
    )
    split.save(workdir / SPLIT_FILE)
    if files := files_of_several(dataset):
        groups = join_groups(groups or {}, files)
    _warn_of_shared_groups(split, groups)
    return split


def _warn_of_shared_groups(split: Split, groups: Mapping[str, int] | None) -> None:
    """Warns where the source's own split has images of one group on both sides."""
    if split.kind != "official" or not groups:
        return
    trained = {groups[id] for id in (*split.train, *split.val)}
    if shared := sum(groups[id] in trained for id in split.test):
        LOGGER.warning(
            "data: %d of the %d test images share a group with training images, such as a patient "
            "or a volume; config.data.split=grouped keeps groups together",
            shared,
            len(split.test),
        )
