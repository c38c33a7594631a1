"""The evaluation of another model, and the comparison with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from fakd_jax.data.matching import match_by_content
from fakd_jax.errors import UserError
from fakd_jax.evaluation.predictions_file import NamedPrediction, read_contents, read_predictions
from fakd_jax.metrics.comparison import compare_predictions
from fakd_jax.models.checkpoint import resolve_checkpoint
from fakd_jax.runs.files import IMAGES_FILE, METRICS_FILE, PREDICTIONS_FILE
from fakd_jax.runs.workdir import checkpoint_name, evaluation_folders, find_workdir
from fakd_jax.runtime.hub import names_hub
from fakd_jax.runtime.json_text import parse_json

IDENTITY = ("arch", "config", "checkpoint", "weights_sha256")


Images = tuple[str, str]
"""Fingerprint of the data, and the split."""


@dataclass(frozen=True)
class Baseline:
    """Another model's evaluation.

    Attributes:
      file: with its predictions.
      predictions: by image id.
      identity: of the model.
      data_fingerprint: of its data; None if unknown.
      contents: of its images by id, see :func:`fakd_jax.data.dataset.content_of`; None if unknown.
    """

    file: Path
    predictions: dict[str, NamedPrediction]
    identity: dict[str, Any]
    data_fingerprint: str | None = None
    contents: dict[str, str] | None = None


def open_baseline(path: Path | str, images: Images | None = None) -> Baseline:
    """Reads the evaluation of another model.

    Args:
      path: a `predictions.csv`, its folder, or a workdir or checkpoint whose evaluation lies in the
        default place.
      images: those evaluated now: of several evaluations in a workdir, that of the same is taken.

    Raises:
      UserError: no such evaluation, or files that are not an evaluation's.
    """
    if names_hub(path):
        raise _not_evaluated(path)
    file = _find_predictions(Path(path).expanduser(), images)
    contents = read_contents(file.with_name(IMAGES_FILE))
    return Baseline(file, read_predictions(file), *_provenance(file), contents)


def of_same_images(
    baseline: Baseline, contents: Mapping[str, str], labels: Sequence[str], data_fingerprint: str
) -> Baseline:
    """Finds a baseline's predictions for the images evaluated now.

    In the same data, images are known by their ids; in other data, such as the same with images
    renamed or added elsewhere, by their content.

    Args:
      baseline: the other evaluation.
      contents: of the images evaluated now, by id.
      labels: the names of their classes, in that order.
      data_fingerprint: of the data evaluated now.

    Returns:
      The baseline with the predictions by the ids evaluated now.

    Raises:
      UserError: it is of other images or of other labels, or of other data and without contents.
    """
    if baseline.data_fingerprint in (None, data_fingerprint):
        pairs = {id: id for id in contents if id in baseline.predictions}
    elif baseline.contents is None or baseline.contents.keys() != baseline.predictions.keys():
        raise UserError(
            f"{baseline.file} is of other data (fingerprint {baseline.data_fingerprint:.12} there, "
            f"{data_fingerprint:.12} here), and no {IMAGES_FILE} beside it identifies its images; "
            "compare evaluations of the same data, or evaluate that model again"
        )
    else:
        pairs = match_by_content(contents, baseline.contents)
    lacking = (contents.keys() - pairs.keys()) | (baseline.predictions.keys() - pairs.values())
    if lacking:
        raise UserError(
            f"{baseline.file} is of other images ({len(baseline.predictions):,} there, "
            f"{len(contents):,} here; {min(lacking)} is in only one); compare evaluations of the "
            "same split of the same data"
        )
    predictions = {id: baseline.predictions[pairs[id]] for id in contents}
    for id, label in zip(contents, labels, strict=True):
        if predictions[id].label != label:
            raise UserError(
                f"{id} is labelled {predictions[id].label} in {baseline.file} and {label} in this "
                "data; compare evaluations of the same data"
            )
    return replace(baseline, predictions=predictions)


def compare_with_baseline(
    baseline: Baseline,
    ids: Sequence[str],
    right: Bool[np.ndarray, " N"],
    units: Int[np.ndarray, " N"],
) -> dict[str, Any]:
    """`comparison` of `metrics.json`, with a baseline for the same images.

    The ids are in the order of `right` and `units`, which are as in
    :func:`fakd_jax.metrics.comparison.compare_predictions`.
    """
    baseline_right = np.array([baseline.predictions[id].right for id in ids])
    return {"with": baseline.identity, **compare_predictions(right, baseline_right, units)}


def _find_predictions(path: Path, images: Images | None) -> Path:
    """The `predictions.csv` of a file, folder, workdir or checkpoint; of these images if it can."""
    if path.is_file():
        return path
    if (path / PREDICTIONS_FILE).is_file():
        return path / PREDICTIONS_FILE
    checkpoint = resolve_checkpoint(path)
    workdir = find_workdir(checkpoint)
    if workdir is None:
        raise _not_evaluated(path)
    own, *others = (folder / PREDICTIONS_FILE for folder in evaluation_folders(checkpoint, workdir))
    found = (file for file in (own, *others) if file.is_file() and _images_of(file) == images)
    file = next(found, own)
    if not file.is_file():
        raise UserError(
            f"{path} has not been evaluated: there is no {file}; run "
            f"python -m fakd_jax.evaluate --checkpoint {path}"
        )
    name, evaluated = checkpoint_name(checkpoint, workdir), _provenance(file)[0]["checkpoint"]
    if evaluated != name:
        raise UserError(
            f"{file} is of {evaluated}, not of {name}; evaluate that with another --output and "
            f"give the {PREDICTIONS_FILE} there"
        )
    return file


def _images_of(predictions: Path) -> Images | None:
    """What predictions are of, by the `metrics.json` beside them; None if it is damaged."""
    try:
        metrics = parse_json(predictions.with_name(METRICS_FILE).read_text(encoding="utf-8"))
        provenance = metrics["provenance"]
        return str(provenance["data"]["fingerprint"]), str(provenance["split"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _not_evaluated(checkpoint: Path | str) -> UserError:
    return UserError(
        f"{checkpoint} is a checkpoint outside a workdir; evaluate it "
        f"(python -m fakd_jax.evaluate --checkpoint {checkpoint}) and give its {PREDICTIONS_FILE}"
    )


def _provenance(predictions: Path) -> tuple[dict[str, Any], str | None]:
    """The model's identity and the data's fingerprint, from the `metrics.json` beside the file."""
    file = predictions.with_name(METRICS_FILE)
    try:
        provenance = parse_json(file.read_text(encoding="utf-8"))["provenance"]
        identity = {key: provenance[key] for key in IDENTITY}
        return identity, dict(provenance.get("data") or {}).get("fingerprint")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} does not name the model that made {predictions.name} ({error!r}); evaluate "
            "that model again"
        ) from error
