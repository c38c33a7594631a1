"""The lesion masks of a run: of its training images alone, and the same whenever it is resumed."""

from __future__ import annotations

from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.sources import open_masks
from fakd_jax.data.splits import Split
from fakd_jax.data.training_masks import TrainingMasks
from fakd_jax.experiment.record import ABSENT, RunRecord
from fakd_jax.experiment.settings import ExperimentConfig
from fakd_jax.runtime.coordination import writer_first
from fakd_jax.training.metric_log import LOGGER

_KEY = "data.lesion_masks"


def training_masks(
    config: ExperimentConfig, dataset: ImageDataset, split: Split, record: RunRecord
) -> TrainingMasks | None:
    """Opens the masks of `config.data.lesion_masks` and pins their fingerprint.

    An outline says more than a label: images whose label may not be used have none here.

    Returns:
      None if there are none, or if nothing in the run needs them.

    Raises:
      UserError: no labelled training image has one, one cannot be read, or they are not those
        that the run began with.
    """
    masks = config.data.lesion_masks
    roles = ("teacher", "student") if config.train == "student" else ("teacher",)
    if not masks or not any(config.needs_masks(role) for role in roles):
        record.pin(_KEY, ABSENT)
        return None
    cache_dir = config.data.cache_dir
    files = writer_first(lambda: open_masks(masks, dataset, cache_dir=cache_dir, log=LOGGER.info))
    names, healthy = dataset.class_names, config.data.negative_class
    found = TrainingMasks(
        files,
        dataset,
        split.train_labelled,
        config.data.image_size,
        healthy=names.index(healthy) if healthy in names else None,
    )
    record.pin(_KEY, found.fingerprint)
    LOGGER.info("data: lesion %s; no other mask is opened", found)
    return found
