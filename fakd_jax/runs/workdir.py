"""Reading what a run left in its workdir, and opening the data that it was trained on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.splits import Split
from fakd_jax.errors import UserError

PHASES = ("teacher", "student")
CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.jsonl"
SPLIT_FILE = "split.json"


def find_workdir(checkpoint: Path) -> Path | None:
    """The workdir of `<workdir>/<teacher|student>/<best|last>/<step>`; None if it is not in one."""
    phase, kind = checkpoint.parent.parent.name, checkpoint.parent.name
    if phase in PHASES and kind in ("best", "last"):
        return checkpoint.parent.parent.parent
    return None


def read_metrics(workdir: Path) -> list[dict[str, Any]]:
    """Returns the records of `metrics.jsonl`, oldest first; [] if there is none yet.

    A last line that a killed process left half-written is dropped.

    Raises:
      UserError: a line before it is no record.
    """
    file = workdir / METRICS_FILE
    if not file.is_file():
        return []
    # Every whole line ends in a newline, so what follows the last one was never finished.
    lines = file.read_text(encoding="utf-8").split("\n")[:-1]
    try:
        return [json.loads(line) for line in lines if line]
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}); mend its lines or delete it") from error


@dataclass(frozen=True)
class SplitIds:
    """Some images of a data set and who chose them.

    Attributes:
      ids: of the examples, in the order of evaluation.
      origin: `split.json (official, seed 0)` of the run, or `the data itself`.
    """

    ids: tuple[str, ...]
    origin: str


def choose_ids(dataset: ImageDataset, split: str, workdir: Path | None) -> SplitIds:
    """Finds the images of a split.

    The run's own `split.json` is followed wherever it is of this very data, for the test split
    too: a run that drew its own test images trained on some of the data's.

    Args:
      dataset: the data.
      split: 'test', 'val' or 'train'.
      workdir: of the run; None if there is none.

    Returns:
      The ids and their origin.

    Raises:
      UserError: the split is not known for this data, or has no images.
    """
    own = own_split(dataset, workdir)
    if own is not None:
        return _not_empty(own.ids(split), split, f"{SPLIT_FILE} ({own.describe()})")
    if split != "test":
        file = workdir / SPLIT_FILE if workdir else None
        known = file is not None and file.is_file()
        where = f"{file} is of other data" if known else f"there is no {SPLIT_FILE}"
        raise UserError(
            f"the {split} images are known only to the run that chose them, and {where}; "
            "give a checkpoint in its workdir with the data trained on, or --split test"
        )
    ids = tuple(example.id for example in dataset.examples if example.split == split)
    return _not_empty(ids, split, "the data itself")


def _not_empty(ids: tuple[str, ...], split: str, origin: str) -> SplitIds:
    if not ids:
        raise UserError(f"the {split} split of {origin} has no images; choose another --split")
    return SplitIds(tuple(ids), origin)


def open_data(
    metadata: Mapping[str, Any],
    source: str | None = None,
    *,
    cache_dir: Path | str | None = None,
    log: Callable[[str], object] = print,
) -> ImageDataset:
    """Opens data with a checkpoint's own settings for it.

    A phantom source is drawn as in training; unusable files are treated likewise.

    Args:
      metadata: of the checkpoint.
      source: see :func:`fakd_jax.data.sources.open_dataset`; None takes the one trained on.
      cache_dir: of prepared data; None takes the checkpoint's, else the user's.
      log: takes lines for the user.

    Raises:
      UserError: no source is given and the checkpoint names none; else as `open_dataset`.
    """
    from fakd_jax.data.sources import open_dataset

    settings = _data_settings(metadata)
    source = source or settings.get("source") or (metadata.get("data") or {}).get("source")
    if not source:
        raise UserError("the checkpoint does not say what data it was trained on; give --data")
    return open_dataset(
        source,
        cache_dir=data_cache_dir(metadata, cache_dir),
        unreadable=settings.get("unreadable", "error"),
        phantom=settings.get("phantom"),
        log=log,
    )


def data_cache_dir(
    metadata: Mapping[str, Any], cache_dir: Path | str | None = None
) -> Path | str | None:
    """The folder of prepared data: the one given, else the checkpoint's, else None (the user's)."""
    return cache_dir or _data_settings(metadata).get("cache_dir") or None


def own_split(dataset: ImageDataset, workdir: Path | None) -> Split | None:
    """The split that a run made of this very data; None if it has none, or of other data.

    Raises:
      UserError: its `split.json` is damaged.
    """
    file = workdir / SPLIT_FILE if workdir else None
    if file is None or not file.is_file():
        return None
    split = Split.load(file)
    return split if split.fingerprint == dataset.fingerprint else None


def _data_settings(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    return (metadata.get("config") or {}).get("data") or {}
