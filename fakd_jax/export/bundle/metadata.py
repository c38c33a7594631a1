"""What a bundle records of a checkpoint, and nothing of the machine or the people it came from.

Every key is chosen: what a later version adds to checkpoints stays out until it is chosen too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import metadata as installed
from pathlib import Path
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.export.header import describe_network
from fakd_jax.inference.predictor import Predictor
from fakd_jax.runs import learnt_images
from fakd_jax.runs.files import METRICS_FILE
from fakd_jax.runs.workdir import default_output, find_workdir
from fakd_jax.runtime.environment import LIBRARIES
from fakd_jax.runtime.json_text import parse_json
from fakd_jax.version import __version__

INTENDED_USE = (
    "Research on the classification of single brain MRI slices into the classes listed. Not for "
    "diagnosis, nor for any decision about a patient."
)
LIMITS = (
    "It classifies single slices; it does not localise, grade or segment.",
    "It has one of the listed classes for every image, whatever the image shows.",
    "Its metrics hold for images like those it was measured on; other scanners, sequences and "
    "windows may lower them.",
    "It has not been validated clinically and is not a medical device.",
)
PUBLIC_SOURCES = ("kaggle", "phantom")
"""Sources that anybody has; any other is a path on the maker's machine."""

_KEPT = ("head", learnt_images.METADATA_KEY, "appearance")
_OF_SOURCE = ("phase", "step", "epoch", "val_accuracy", "monitor", "compute_dtype")
_OF_DATA = ("version", "fingerprint", "split", "audit")
_OF_CONFIG = ("name", "dtype", "eval_batch_size")
_OF_CONFIG_DATA = ("class_map", "unreadable", "phantom")
_OF_METRICS = (
    *("n", "accuracy", "accuracy_ci95", "accuracy_ci95_grouped", "balanced_accuracy"),
    *("balanced_accuracy_ci95", "per_class", "confusion_matrix", "class_names", "missed_tumour"),
    *("false_alarm", "auroc", "ece", "ece_ci95", "nll", "nll_ci95", "brier", "brier_ci95"),
)
_OF_PROVENANCE = ("split", "weights_sha256", "package_version")


def bundle_metadata(predictor: Predictor) -> dict[str, Any]:
    """The metadata of a bundle's checkpoint.

    Returns:
      What a checkpoint needs, `decision`, `weights_sha256`, `metrics` (of an evaluation of these
      weights in the checkpoint's workdir; None if there is none), `intended_use`, `limits` and
      `versions`.

    Raises:
      UserError: the evaluation beside the checkpoint is damaged.
    """
    stored = predictor.metadata
    described = describe_network(predictor)
    config = stored.get("config") or {}
    data, settings = stored.get("data") or {}, config.get("data") or {}
    public = {"source": data["source"]} if data.get("source") in PUBLIC_SOURCES else {}
    return {
        **described,
        **_chosen(stored, _KEPT),
        "source": _chosen(stored.get("source") or {}, _OF_SOURCE),
        "data": {**_chosen(data, _OF_DATA), **public},
        "config": {
            **_chosen(config, _OF_CONFIG),
            "data": {**_chosen(settings, _OF_CONFIG_DATA), **public},
        },
        "metrics": _metrics(predictor, described["weights_sha256"]),
        "intended_use": INTENDED_USE,
        "limits": list(LIMITS),
        "versions": {
            "fakd_jax": __version__,
            **{library: installed.version(library) for library in LIBRARIES},
        },
        "package_version": stored.get("package_version"),
    }


def evaluation_folder(predictor: Predictor) -> Path | None:
    """Where the evaluation of the checkpoint is, if it is in a workdir."""
    workdir = find_workdir(predictor.checkpoint)
    return default_output(predictor.checkpoint, workdir) if workdir else None


def _metrics(predictor: Predictor, weights_sha256: str) -> Mapping[str, Any] | None:
    """Metrics with intervals, of an evaluation of these very weights; or a bundle's own."""
    folder = evaluation_folder(predictor)
    if folder is None or not (folder / METRICS_FILE).is_file():
        kept: Mapping[str, Any] | None = predictor.metadata.get("metrics")
        return kept
    try:
        metrics = parse_json((folder / METRICS_FILE).read_text(encoding="utf-8"))
        provenance = metrics["provenance"]
        if provenance["weights_sha256"] != weights_sha256:
            return None
        return {
            **_chosen(metrics, _OF_METRICS),
            "provenance": {
                **_chosen(provenance, _OF_PROVENANCE),
                "data": _chosen(provenance["data"], ("fingerprint", "same_as_training")),
            },
        }
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder / METRICS_FILE} is damaged ({error!r}); evaluate the checkpoint again"
        ) from error


def _chosen(values: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: values[key] for key in keys if key in values}
