"""What the metrics of an evaluation depend on: weights, data, split, software, machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakd_jax.data.pixels.window import DEFAULT_RULES
from fakd_jax.inference.adapter import weights_sha256
from fakd_jax.inference.predictor import Predictor
from fakd_jax.runs.own_split import SplitIds
from fakd_jax.runs.workdir import checkpoint_name
from fakd_jax.runtime.environment import describe_environment
from fakd_jax.version import __version__

if TYPE_CHECKING:
    from fakd_jax.data.dataset import ImageDataset


def describe_provenance(
    predictor: Predictor,
    dataset: ImageDataset,
    split: str,
    chosen: SplitIds,
    workdir: Path | None,
) -> dict[str, Any]:
    """`provenance` of `metrics.json`.

    Args:
      predictor: whose predictions were measured.
      dataset: the data.
      split: which part of it.
      chosen: the images and who chose them.
      workdir: of the run; None if there is none.
    """
    metadata = predictor.metadata
    config, trained_on = metadata.get("config") or {}, metadata.get("data") or {}
    known = trained_on.get("fingerprint")
    return {
        "checkpoint": checkpoint_name(predictor.checkpoint, workdir),
        "weights_sha256": weights_sha256(predictor),
        "arch": predictor.arch,
        "head": metadata.get("head"),
        "config": config.get("name"),
        "trained": metadata.get("source"),
        "data": {
            "source": dataset.source,
            "name": dataset.name,
            "version": dataset.version,
            "fingerprint": dataset.fingerprint,
            "same_as_training": dataset.fingerprint == known if known else None,
            **({"class_map": dict(dataset.class_map)} if dataset.class_map else {}),
            **({"pixels": dataset.pixels.to_dict()} if dataset.pixels != DEFAULT_RULES else {}),
        },
        "split": split,
        "split_origin": chosen.origin,
        "trained_on_split": trained_on.get("split_description") or trained_on.get("split"),
        "trained_on_audit": trained_on.get("audit"),
        "preprocessing": predictor.preprocessing.to_dict(),
        "dtype": predictor.dtype,
        "batch_size": predictor.batch_size,
        "hardware": describe_environment(),
        "package_version": __version__,
    }
