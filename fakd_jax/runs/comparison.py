"""Compares what two runs left behind: split, losses, best weights and metrics, value by value."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fakd_jax.data.splits import SPLITS, Split
from fakd_jax.errors import UserError
from fakd_jax.models.checkpoint import load_model, resolve_checkpoint
from fakd_jax.models.state import flatten_state
from fakd_jax.runs.files import METRICS_FILE, PHASES, SPLIT_FILE, evaluation_folder
from fakd_jax.runs.workdir import read_records
from fakd_jax.runtime.hashing import sha256_of_tree
from fakd_jax.runtime.json_text import parse_json

TIMINGS = frozenset({"images_per_second", "seconds"})
"""Values of `metrics.jsonl` that differ between any two runs."""
NOT_RESULTS = frozenset({"latency", "provenance", "notes"})
"""Groups of `metrics.json` that depend on the machine or on paths."""

ABSENT = "none"
"""The digest of weights that a run did not train."""


@dataclass(frozen=True)
class Comparison:
    """The comparison of one kind of result of two runs.

    Attributes:
      name: of the kind, such as "student weights".
      compared: the number of values in either run; an array is one value.
      different: those that are not equal to the last bit, or are in one run only.
      largest: the largest finite difference of numbers, absolute; None if there is none.
      where: the value with that difference, else the first that differs; "" if all are equal.
      digests: of the first and of the second run's weights, or :data:`ABSENT`; None for other
        kinds.
    """

    name: str
    compared: int
    different: int
    largest: float | None = None
    where: str = ""
    digests: tuple[str, str] | None = None

    @property
    def is_same(self) -> bool:
        """Whether all values are equal to the last bit."""
        return self.different == 0


def compare_runs(first: Path, second: Path) -> list[Comparison]:
    """Compares two finished runs.

    A network that either run trained, and an evaluation that either run has, is compared with
    nothing if the other lacks it.

    Args:
      first: a workdir.
      second: another.

    Returns:
      The comparisons of the split and, by network, of losses, weights and metrics.

    Raises:
      UserError: a file is missing or damaged.
    """
    found = [compare_values("split", _split(first), _split(second))]
    for phase in PHASES:
        losses = [_losses(workdir, phase) for workdir in (first, second)]
        if any(losses):
            found.append(compare_values(f"{phase} losses", *losses))
            pairs = zip((first, second), losses, strict=True)
            folders = [workdir / phase if recorded else None for workdir, recorded in pairs]
            found.append(_compare_weights(f"{phase} weights", *folders))
        metrics = [_metrics(evaluation_folder(workdir, phase)) for workdir in (first, second)]
        if any(metrics):
            found.append(compare_values(f"{phase} metrics", *metrics))
    return found


def compare_values(name: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> Comparison:
    """Compares values by name: arrays and numbers by their bits.

    >>> compare_values("losses", {"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.5})
    Comparison(name='losses', compared=2, different=1, largest=0.5, where='b', digests=None)
    """
    names = list(dict.fromkeys([*first, *second]))
    differing = [
        key
        for key in names
        if key not in first or key not in second or not _equal(first[key], second[key])
    ]
    distances = {
        key: distance
        for key in differing
        if (distance := _distance(first.get(key), second.get(key))) is not None
    }
    where = max(distances, key=distances.__getitem__) if distances else next(iter(differing), "")
    return Comparison(name, len(names), len(differing), distances.get(where), where)


def _compare_weights(name: str, first: Path | None, second: Path | None) -> Comparison:
    """Compares the best checkpoints, their steps and every array; None has none."""
    values: list[dict[str, Any]] = []
    digests: list[str] = []
    for folder in (first, second):
        if folder is None:
            values.append({})
            digests.append(ABSENT)
            continue
        checkpoint = resolve_checkpoint(folder)
        state, _ = load_model(checkpoint)
        values.append({"step": int(checkpoint.name), **flatten_state(state)})
        digests.append(sha256_of_tree(state))
    compared = compare_values(name, *values)
    return Comparison(**{**vars(compared), "digests": tuple(digests)})


def _split(workdir: Path) -> dict[str, str]:
    """The part of every image."""
    split = Split.load(workdir / SPLIT_FILE)
    parts = {id: part for part in SPLITS for id in split.ids(part)}
    return parts | {f"label of {id}": "used" for id in split.labelled or ()}


def _losses(workdir: Path, phase: str) -> dict[str, float]:
    """All recorded values of a network but the timings."""
    return {
        f"{record['kind']} step {record['step']} {key}": value
        for record in read_records(workdir)
        if record["phase"] == phase
        for key, value in record.items()
        if key not in TIMINGS | {"phase", "kind", "step"}
    }


def _metrics(folder: Path) -> dict[str, Any]:
    """The numbers of an evaluation by dotted name; {} if there is none."""
    file = folder / METRICS_FILE
    if not file.is_file():
        return {}
    try:
        metrics = parse_json(file.read_text(encoding="utf-8"))
        return dict(_leaves({k: v for k, v in metrics.items() if k not in NOT_RESULTS}))
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{file} is damaged ({error}); evaluate the run again") from error


def _leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, list):
        tree = dict(enumerate(tree))
    if not isinstance(tree, Mapping):
        yield name, tree
        return
    for key, value in tree.items():
        yield from _leaves(value, f"{name}.{key}" if name else str(key))


def _equal(first: Any, second: Any) -> bool:
    """Whether two values are equal to the last bit."""
    if isinstance(first, str) or isinstance(second, str) or first is None or second is None:
        return bool(first == second)
    a, b = np.asarray(first), np.asarray(second)
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def _distance(first: Any, second: Any) -> float | None:
    """The largest absolute difference of numbers or arrays; None if it is not finite."""
    try:
        a, b = (np.asarray(value, np.float64) for value in (first, second))
    except (TypeError, ValueError):
        return None
    if first is None or second is None or a.shape != b.shape or a.size == 0:
        return None
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        distance = float(np.max(np.abs(a - b)))
    return distance if math.isfinite(distance) else None
