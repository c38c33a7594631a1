"""Reads what a run left in its workdir, and opens the data that it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.pixels.window import DEFAULT_RULES, PixelRules, parse_window
from fakd_jax.errors import UserError
from fakd_jax.runs.files import PHASES, RECORDS_FILE, evaluation_folder
from fakd_jax.runtime.json_text import parse_json


def find_workdir(checkpoint: Path) -> Path | None:
    """The workdir of `<workdir>/<teacher|student>/<best|last>/<step>`; None for any other path."""
    kind, phase = checkpoint.parent, checkpoint.parent.parent
    return phase.parent if phase.name in PHASES and kind.name in ("best", "last") else None


def default_output(checkpoint: Path, workdir: Path | None, images: str = "") -> Path:
    """The folder of a checkpoint's evaluation, in the current folder if it is in no workdir.

    Args:
      checkpoint: its own folder.
      workdir: as :func:`find_workdir` has found it.
      images: the name of images other than the run's own test images.
    """
    if workdir is None:
        return evaluation_folder(Path(), "student", images)
    return evaluation_folder(workdir, checkpoint.relative_to(workdir).parts[0], images)


def evaluation_folders(checkpoint: Path, workdir: Path) -> list[Path]:
    """Where evaluations of a checkpoint's phase lie: that of the run's own test images first."""
    phase = checkpoint.relative_to(workdir).parts[0]
    others = sorted(path.name for path in workdir.glob("evaluation-*") if path.is_dir())
    names = ("", *(name.removeprefix("evaluation-") for name in others))
    return [evaluation_folder(workdir, phase, name) for name in names]


def checkpoint_name(checkpoint: Path, workdir: Path | None) -> str:
    """What reports call a checkpoint: its path in the workdir, which may be moved."""
    return str(checkpoint.relative_to(workdir) if workdir else checkpoint)


def trained_dtype(metadata: Mapping[str, Any]) -> str:
    """The precision that a checkpoint was trained in; "auto" if its metadata lack it."""
    name = (metadata.get("config") or {}).get("dtype", "auto")
    if name == "auto":  # as earlier versions stored it
        name = (metadata.get("source") or {}).get("compute_dtype", "auto")
    return str(name)


def read_records(workdir: Path) -> list[dict[str, Any]]:
    """The records of `metrics.jsonl`, oldest first; [] if there are none yet.

    A last line that a killed process left half-written is dropped.

    Raises:
      UserError: an earlier line is not a record.
    """
    file = workdir / RECORDS_FILE
    if not file.is_file():
        return []
    try:
        # Every complete line ends in a newline: what follows the last one is incomplete.
        complete, _, _ = file.read_bytes().rpartition(b"\n")
        records = [parse_json(line) for line in complete.decode().split("\n") if line]
        for number, record in enumerate(records, start=1):
            if not isinstance(record, dict) or not {"phase", "kind", "step"} <= record.keys():
                raise ValueError(f"record {number} lacks its phase, kind or step")
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is damaged ({error}); repair or delete it") from error
    return records


def open_data(
    metadata: Mapping[str, Any],
    source: str | None = None,
    *,
    cache_dir: Path | str | None = None,
    class_map: str = "",
    window: str = "",
    log: Callable[[str], object] = print,
) -> ImageDataset:
    """Opens data with the settings in a checkpoint's metadata; by default its training data.

    The classes are the checkpoint's, sorted, if it names any. The data may lack some, and may name
    them otherwise: in the common spellings, as in training (`config.data.class_map`) or by a map.
    Grey levels of more than 8 bits are brought to 8 by the window that the checkpoint keeps; if it
    knows none, by the data alone.

    Args:
      metadata: of the checkpoint.
      source: of the data; None for the training data.
      cache_dir: see :func:`data_cache_dir`.
      class_map: other names for classes, NAME=CLASS,…; "" takes the training's, as far as the data
        have these names.
      window: another window for grey levels of more than 8 bits, see
        :func:`fakd_jax.data.pixels.window.parse_window`; "" takes the checkpoint's.
      log: called with each line of progress.

    Raises:
      UserError: no source is given and the checkpoint names none; else as `open_dataset`.
    """
    from fakd_jax.data.class_names import parse_class_map
    from fakd_jax.data.sources import open_dataset

    settings = _data_settings(metadata)
    source = source or settings.get("source") or (metadata.get("data") or {}).get("source")
    if not source:
        raise UserError("the checkpoint does not name the data it was trained on; give --data")
    rules = pixel_rules(metadata)
    if window:
        rules = replace(rules, window=parse_window(window))
    dataset = open_dataset(
        source,
        cache_dir=data_cache_dir(metadata, cache_dir),
        unreadable=settings.get("unreadable", "error"),
        phantom=settings.get("phantom"),
        rules=rules,
        class_map=class_map or parse_class_map(settings.get("class_map", "")),
        class_names=sorted(metadata.get("class_names") or ()) or None,
        log=log,
    )
    if rules.window is None and not window and dataset.pixels.window is not None:
        log("data: the checkpoint keeps no such window: it was trained on images of 8 bits")
    return dataset


def pixel_rules(metadata: Mapping[str, Any]) -> PixelRules:
    """The rules by which a checkpoint's training images became pictures of 8 bits.

    Raises:
      UserError: they are damaged.
    """
    stored = (metadata.get("preprocessing") or {}).get("pixels")
    return DEFAULT_RULES if stored is None else PixelRules.from_dict(stored)


def data_cache_dir(
    metadata: Mapping[str, Any], cache_dir: Path | str | None = None
) -> Path | str | None:
    """The folder of prepared data: the one given, else the checkpoint's, else None (the user's)."""
    return cache_dir or _data_settings(metadata).get("cache_dir") or None


def _data_settings(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    return (metadata.get("config") or {}).get("data") or {}
