"""What a workdir keeps of its config, so that a run is resumed with the settings it began with."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fakd_jax.configs import fakd
from fakd_jax.errors import UserError, listed
from fakd_jax.experiment.layers import AUTO
from fakd_jax.experiment.record import CONTENT_KEYS, RunRecord
from fakd_jax.experiment.settings import ExperimentConfig
from fakd_jax.models.checkpoint import load_metadata, resolve_checkpoint
from fakd_jax.runs.files import CONFIG_FILE, ENVIRONMENT_FILE, PHASES, SPLIT_FILE
from fakd_jax.runs.workdir import trained_dtype
from fakd_jax.runtime.atomic_files import remove, write_whole
from fakd_jax.runtime.json_text import parse_json
from fakd_jax.runtime.precision import compute_dtype
from fakd_jax.training.metric_log import LOGGER

# Keys that say where the run happens, not what it computes: they may differ when resuming.
# `checkpoint_every_steps` is of earlier versions.
PLACE_KEYS = frozenset(
    {"data.cache_dir", "data.cache_gib", "checkpoint_minutes", "checkpoint_every_steps"}
)
# The layers that earlier versions had by default, which "auto" is for the paper's networks.
PAPERS_LAYERS = {
    "distillation.teacher_layer": "layer3",
    "distillation.student_layer": "features.16",
    "distillation.lesion_layer": "features.12",
}
MAX_LISTED_KEYS = 8


def resume_config(
    config: ExperimentConfig, workdir: Path, place_keys: Collection[str] = PLACE_KEYS
) -> ExperimentConfig:
    """Resolves the precision of a run, and checks that a resumed one has the config it began with.

    A run of another config that never wrote a checkpoint is discarded.

    Args:
      config: of the run.
      workdir: of the run.
      place_keys: the keys that may differ.

    Returns:
      The config with the precision as of :func:`resume_dtype`.

    Raises:
      UserError: the workdir holds a run of another config; lists the keys that differ.
    """
    discard_unstarted_run(config.to_dict(), workdir)
    kept, here = kept_dtype(workdir), compute_dtype(config.dtype).name
    config = dataclasses.replace(config, dtype=resume_dtype(config.dtype, kept, here))
    require_same_config(config.to_dict(), workdir, _may_differ(workdir, place_keys), dtype=kept)
    return config


def resume_dtype(name: str, kept: str | None, here: str) -> str:
    """Resolves a precision: "auto" is the one that the run began with, else the device's.

    Args:
      name: of the config, one of :data:`fakd_jax.runtime.precision.DTYPES`.
      kept: the precision that the run began with; None for a new run.
      here: what `name` is on the devices that will compute.

    Returns:
      "float32" or "bfloat16".
    """
    if name != "auto" or kept in (None, "auto", here):
        return here
    LOGGER.warning(
        "this run began in %s and goes on in it; a new run on this device would use %s", kept, here
    )
    return kept


def kept_dtype(workdir: Path) -> str | None:
    """The precision that the run of a workdir began with; None for a new run."""
    if (stored := read_config(workdir)) is None:
        return None
    if (name := stored.get("dtype", "auto")) != "auto":
        return str(name)
    for phase in PHASES:  # earlier versions stored "auto", and the precision with the weights
        with suppress(UserError):
            name = trained_dtype(load_metadata(resolve_checkpoint(workdir / phase / "last")))
            return None if name == "auto" else name
    return None


def require_same_config(
    values: Mapping[str, Any],
    workdir: Path,
    place_keys: Collection[str] = PLACE_KEYS,
    *,
    dtype: str | None = None,
) -> None:
    """Checks that a resumed run has the config it began with.

    A key that the stored config lacks is newer than the run, which had the default then.

    Args:
      values: the config; JSON-able.
      workdir: of the run.
      place_keys: the keys that may differ.
      dtype: what "auto" means in the stored config; None accepts any.

    Raises:
      UserError: the workdir holds a run of another config; lists the keys that differ.
    """
    if (stored := read_config(workdir)) is None:
        return
    before, after = _flatten(stored), _flatten(json.loads(json.dumps(values)))
    defaults = _flatten(json.loads(fakd.get_config().to_json()))
    for key in after.keys() - before.keys():
        if (default := key.removeprefix("base.")) in defaults:
            before[key] = defaults[default]
    for key in ("dtype", "base.dtype"):
        if before.get(key) == "auto":
            before[key] = dtype or after.get(key)
    for key, value in after.items():
        papers = PAPERS_LAYERS.get(key.removeprefix("base."))
        if value == AUTO and before.get(key) == papers:
            before[key] = AUTO
    differing = [
        f"{key} was {before.get(key)!r}, is {after.get(key)!r}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key) and key not in place_keys
    ]
    if differing:
        found = listed(differing, most=MAX_LISTED_KEYS, separator="; ")
        raise UserError(
            f"the workdir {workdir} holds a run of another config ({found}); "
            "choose another --workdir, or delete that one"
        )


def read_config(workdir: Path) -> dict[str, Any] | None:
    """The content of `config.json`; None if there is none.

    Raises:
      UserError: it is damaged.
    """
    file = workdir / CONFIG_FILE
    if not file.is_file():
        return None
    try:
        stored = parse_json(file.read_text(encoding="utf-8"))
        if not isinstance(stored, dict):
            raise ValueError("not an object")
    except (OSError, ValueError) as error:
        raise UserError(f"{file} is damaged ({error}); choose another --workdir") from error
    return stored


def keep_config(
    values: Mapping[str, Any], workdir: Path, place_keys: Collection[str] = PLACE_KEYS
) -> None:
    """Checks a config as :func:`require_same_config` does, and writes it."""
    require_same_config(values, workdir, place_keys)
    write_config(values, workdir)


def write_config(values: Mapping[str, Any], workdir: Path) -> None:
    """Writes `config.json`; of a resumed run, the keys that may differ are brought up to date.

    Raises:
      UserError: it cannot be written.
    """
    write_whole(workdir / CONFIG_FILE, json.dumps(values, indent=2, sort_keys=True) + "\n")


def discard_unstarted_run(values: Mapping[str, Any], workdir: Path) -> None:
    """Removes what a run without checkpoints wrote, so that it may begin differently.

    Nothing is removed unless `config.json` has the keys of a run, and is not a study's or the
    user's own.

    Args:
      values: config of the run that is about to begin.
      workdir: of that run.
    """
    folders = (workdir / phase / kind for phase in PHASES for kind in ("best", "last"))
    if any(path.name.isdecimal() for folder in folders for path in folder.glob("*")):
        return
    try:
        held = parse_json((workdir / CONFIG_FILE).read_text(encoding="utf-8"))
        is_a_runs = _own_keys(held) == _own_keys(values)
    except (OSError, ValueError, AttributeError):
        return
    if is_a_runs:
        for file in (SPLIT_FILE, ENVIRONMENT_FILE, CONFIG_FILE):
            remove(workdir / file)


def _may_differ(workdir: Path, place_keys: Collection[str]) -> frozenset[str]:
    """Adds the keys of contents that are checked by digest when they are read."""
    checked = CONTENT_KEYS if RunRecord(workdir).exists else {"data.source"}
    return frozenset(place_keys) | checked


def _own_keys(config: Mapping[str, Any]) -> frozenset[str]:
    """The keys of a config but those of the families of shifts, which the user chooses."""
    shifts = "augmentation.shifts"
    return frozenset(shifts if key.startswith(f"{shifts}.") else key for key in _flatten(config))


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns {"a": {"b": 1}} as {"a.b": 1}; an empty group is one entry."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
