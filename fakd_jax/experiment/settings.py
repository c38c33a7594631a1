"""What a config may say: checks that name the key, before any work is done."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from fakd_jax.data.splits import KINDS
from fakd_jax.errors import UserError
from fakd_jax.runs.files import CONFIG_FILE
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.runtime.precision import DTYPES
from fakd_jax.training.metric_log import LOGGER
from fakd_jax.training.optimizer import SCHEDULES

# Keys that say where the run happens, not what it computes: they may differ when resuming.
PLACE_KEYS = frozenset({"data.cache_dir", "checkpoint_every_steps"})
# Differing keys that an error names: a whole other config would fill the screen.
MOST_TOLD = 8


def _one_of(*known: str) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value in known, f"one of {', '.join(known)}"


_POSITIVE_INTEGER = (lambda value: value >= 1, "at least 1")
_NOT_NEGATIVE = (lambda value: 0 <= value < math.inf, "0 or more, and finite")
_POSITIVE = (lambda value: 0 < value < math.inf, "above 0, and finite")
_FRACTION = (lambda value: 0 <= value <= 1, "between 0 and 1")
_MOMENTUM = (lambda value: value is None or 0 < value <= 1, "above 0 and at most 1, or None")


def _three_numbers(value: Any, *, above: float) -> bool:
    """Whether a value is one finite number a colour channel, each above a bound."""
    return len(value) == 3 and all(
        isinstance(number, int | float) and above < number < math.inf for number in value
    )


RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "train": _one_of("student", "teacher"),
    "seed": _NOT_NEGATIVE,
    "batch_size": _POSITIVE_INTEGER,
    "eval_batch_size": _POSITIVE_INTEGER,
    "dtype": _one_of(*DTYPES),
    "data.source": (bool, "kaggle, phantom, a folder or an archive"),
    "data.split": _one_of(*KINDS),
    "data.folds": (lambda value: value >= 2, "at least 2"),
    "data.fold": _NOT_NEGATIVE,
    "data.validation_fraction": (lambda value: 0 < value < 1, "between 0 and 1, both excluded"),
    "data.image_size": (lambda value: value >= 32, "at least 32, the networks' total stride"),
    "data.mean": (lambda value: _three_numbers(value, above=-math.inf), "three finite numbers"),
    "data.std": (lambda value: _three_numbers(value, above=0), "three finite numbers above 0"),
    "data.unreadable": _one_of("error", "skip"),
    "augmentation.flip_probability": _FRACTION,
    "augmentation.rotation_degrees": _NOT_NEGATIVE,
    "augmentation.rotation_interpolation": _one_of("nearest", "bilinear"),
    "teacher.num_epochs": _NOT_NEGATIVE,
    "teacher.batch_norm_momentum": _MOMENTUM,
    "student.num_epochs": _POSITIVE_INTEGER,
    "student.batch_norm_momentum": _MOMENTUM,
    "distillation.alpha": _FRACTION,
    "distillation.beta": _NOT_NEGATIVE,
    "distillation.temperature": _POSITIVE,
    "optimizer.learning_rate": _POSITIVE,
    "optimizer.weight_decay": _NOT_NEGATIVE,
    "optimizer.schedule": _one_of(*SCHEDULES),
    "early_stopping.patience": _POSITIVE_INTEGER,
    "checkpoint_every_steps": _NOT_NEGATIVE,
}


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}; an empty group is one entry."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def validate(config: ConfigDict, prefix: str = "config.") -> None:
    """Checks every value that has a range.

    Args:
      config: as `configs/fakd.py` has it.
      prefix: of the keys' names on the command line, for messages.

    Raises:
      UserError: naming every key whose value is out of its range, or that is absent.
    """
    values = _flat(config.to_dict())
    problems = [f"{prefix}{key} is missing" for key in RULES if key not in values]
    problems += [
        f"{prefix}{key}={values[key]!r} must be {told}"
        for key, (holds, told) in RULES.items()
        if key in values and not holds(values[key])
    ]
    if config.get("train") == "teacher" and values.get("teacher.num_epochs") == 0:
        problems.append(f"{prefix}teacher.num_epochs=0 trains nothing; it must be at least 1")
    if problems:
        raise UserError("; ".join(problems))


def tell_negative_class(config: ConfigDict, class_names: Sequence[str]) -> None:
    """Says where no missed tumours will be counted, before hours are spent on a mistyped name."""
    negative = config.data.negative_class
    if negative and negative not in class_names:
        LOGGER.warning(
            "config.data.negative_class=%s is none of the classes (%s): missed tumours will not be "
            'counted; name the class without a tumour, or "" where there is none',
            negative,
            ", ".join(class_names),
        )


def holds_runs_config(config: ConfigDict, workdir: Path) -> bool:
    """Whether a workdir's `config.json` is a run's, by its keys: not a study's, nor the user's own.

    Args:
      config: of a run.
      workdir: maybe of another run.
    """
    try:
        held = json.loads((workdir / CONFIG_FILE).read_text(encoding="utf-8"))
        return _flat(held).keys() == _flat(json.loads(config.to_json())).keys()
    except (OSError, ValueError, AttributeError):
        return False


def keep_config(
    config: ConfigDict, workdir: Path, place_keys: Collection[str] = PLACE_KEYS
) -> None:
    """Writes `config.json`, or checks that a run that goes on has the config it began with.

    Args:
      config: of the run.
      workdir: of the run.
      place_keys: the keys that may differ.

    Raises:
      UserError: the workdir holds a run of another config: the keys that differ.
    """
    file = workdir / CONFIG_FILE
    now = json.loads(config.to_json())
    if not file.is_file():
        write_whole(file, json.dumps(now, indent=2, sort_keys=True) + "\n")
        return
    try:
        before = _flat(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, AttributeError) as error:
        raise UserError(f"{file} is damaged ({error}); choose another --workdir") from error
    after = _flat(now)
    differing = [
        f"{key} was {before.get(key)!r}, is {after.get(key)!r}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key) and key not in place_keys
    ]
    if differing:
        shown = differing[:MOST_TOLD]
        more = len(differing) - len(shown)
        raise UserError(
            f"the workdir {workdir} holds a run of another config "
            f"({'; '.join(shown)}{f'; and {more} more' if more else ''}); "
            "choose another --workdir, or delete that one"
        )
