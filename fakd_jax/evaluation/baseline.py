"""The evaluation that this one is compared with: finding it, reading it, and the comparison."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from fakd_jax.errors import UserError
from fakd_jax.evaluation.collect import NamedAnswer, read_predictions
from fakd_jax.metrics.comparison import compare_answers
from fakd_jax.models.checkpoint import resolve_checkpoint
from fakd_jax.runs.files import METRICS_FILE, PREDICTIONS_FILE
from fakd_jax.runs.workdir import checkpoint_name, default_output, find_workdir

IDENTITY = ("arch", "config", "checkpoint", "weights_sha256")


@dataclass(frozen=True)
class Baseline:
    """Another model's answers, as its evaluation left them.

    Attributes:
      file: its `predictions.csv`.
      answers: by image id.
      identity: which model it was: `arch`, `config`, `checkpoint`, `weights_sha256`.
      data_fingerprint: of the data that has the images; None where the evaluation does not say.
    """

    file: Path
    answers: dict[str, NamedAnswer]
    identity: dict[str, Any]
    data_fingerprint: str | None = None


def open_baseline(path: Path | str) -> Baseline:
    """Reads the evaluation of another model.

    Args:
      path: a `predictions.csv`, the folder that it lies in, or a workdir or checkpoint whose
        evaluation lies where it is written by default.

    Raises:
      UserError: no such evaluation, or files that are not an evaluation's.
    """
    file = _find_predictions(Path(path).expanduser())
    answers, (identity, data_fingerprint) = read_predictions(file), _provenance(file)
    return Baseline(file, answers, identity, data_fingerprint)


def require_same_images(
    baseline: Baseline, ids: Sequence[str], labels: Sequence[str], data_fingerprint: str
) -> None:
    """Refuses a comparison across data, images or labels.

    Args:
      baseline: the other evaluation.
      ids: of the images evaluated now.
      labels: the names of their classes.
      data_fingerprint: of the data that has them. Equal ids do not make equal images:
        files are often numbered alike.

    Raises:
      UserError: the baseline's images are not the same, not of the same classes or of other data.
    """
    if baseline.data_fingerprint not in (None, data_fingerprint):
        raise UserError(
            f"{baseline.file} is of other data (fingerprint {baseline.data_fingerprint:.12} there, "
            f"{data_fingerprint:.12} here); compare evaluations of the same data"
        )
    if differing := baseline.answers.keys() ^ set(ids):
        raise UserError(
            f"{baseline.file} is of other images ({len(baseline.answers):,} there, {len(ids):,} here; "
            f"{min(differing)} is in one only); compare evaluations of one split of the same data"
        )
    for id, label in zip(ids, labels, strict=True):
        if baseline.answers[id].label != label:
            raise UserError(
                f"{baseline.file} says that {id} is {baseline.answers[id].label}, this data that it is "
                f"{label}; compare evaluations of the same data"
            )


def compare_with_baseline(
    baseline: Baseline,
    ids: Sequence[str],
    right: Bool[np.ndarray, " N"],
    units: Int[np.ndarray, " N"],
) -> dict[str, Any]:
    """`comparison` of `metrics.json`.

    Args:
      baseline: on the same images, see :func:`require_same_images`.
      ids: of the images, in the order of `right`.
      right: where this model's answer is right.
      units: see :func:`fakd_jax.metrics.comparison.compare_answers`.
    """
    answers = [baseline.answers[id] for id in ids]
    baseline_right = np.array([answer.label == answer.prediction for answer in answers])
    return {"with": baseline.identity, **compare_answers(right, baseline_right, units)}


def _find_predictions(path: Path) -> Path:
    """The `predictions.csv` that a path of any kind means."""
    if path.is_file():
        return path
    if (path / PREDICTIONS_FILE).is_file():
        return path / PREDICTIONS_FILE
    checkpoint = resolve_checkpoint(path)
    workdir = find_workdir(checkpoint)
    if workdir is None:
        raise UserError(
            f"{path} is a checkpoint outside a workdir; evaluate it "
            f"(python -m fakd_jax.evaluate --checkpoint {path}) and give its {PREDICTIONS_FILE}"
        )
    file = default_output(checkpoint, workdir) / PREDICTIONS_FILE
    if not file.is_file():
        raise UserError(
            f"{path} has no evaluation to compare with: there is no {file}; evaluate it first: "
            f"python -m fakd_jax.evaluate --checkpoint {path}"
        )
    name, evaluated = checkpoint_name(checkpoint, workdir), _provenance(file)[0]["checkpoint"]
    if evaluated != name:
        raise UserError(
            f"{file} is of {evaluated}, not of {name}; evaluate that with an --output of its own "
            f"and give the {PREDICTIONS_FILE} there"
        )
    return file


def _provenance(predictions: Path) -> tuple[dict[str, Any], str | None]:
    """The model that made the predictions and the data's fingerprint, by the `metrics.json`."""
    file = predictions.with_name(METRICS_FILE)
    try:
        provenance = json.loads(file.read_text(encoding="utf-8"))["provenance"]
        identity = {key: provenance[key] for key in IDENTITY}
        return identity, dict(provenance.get("data") or {}).get("fingerprint")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file} does not say whose predictions {predictions.name} holds ({error!r}); evaluate "
            "that model again"
        ) from error
