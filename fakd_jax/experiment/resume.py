"""What a workdir keeps of its config, so that a run is resumed with the settings it began with."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.runs.files import CONFIG_FILE, PHASES, SPLIT_FILE
from fakd_jax.runtime.atomic_files import remove, write_whole

# Keys that say where the run happens, not what it computes: they may differ when resuming.
PLACE_KEYS = frozenset({"data.cache_dir", "data.cache_gib", "checkpoint_every_steps"})
MAX_LISTED_KEYS = 8


def keep_config(
    values: Mapping[str, Any], workdir: Path, place_keys: Collection[str] = PLACE_KEYS
) -> None:
    """Writes `config.json`, or checks that a resumed run has the config it began with.

    Args:
      values: the config; JSON-able.
      workdir: of the run.
      place_keys: the keys that may differ.

    Raises:
      UserError: the workdir holds a run of another config; lists the keys that differ.
    """
    file = workdir / CONFIG_FILE
    text = json.dumps(values, indent=2, sort_keys=True) + "\n"
    if not file.is_file():
        write_whole(file, text)
        return
    try:
        before = _flatten(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, AttributeError) as error:
        raise UserError(f"{file} is damaged ({error}); choose another --workdir") from error
    after = _flatten(json.loads(text))
    differing = [
        f"{key} was {before.get(key)!r}, is {after.get(key)!r}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key) and key not in place_keys
    ]
    if differing:
        listed = differing[:MAX_LISTED_KEYS]
        if len(listed) < len(differing):
            listed.append(f"and {len(differing) - len(listed)} more")
        raise UserError(
            f"the workdir {workdir} holds a run of another config ({'; '.join(listed)}); "
            "choose another --workdir, or delete that one"
        )


def discard_unstarted_run(values: Mapping[str, Any], workdir: Path) -> None:
    """Removes config and split of a run without checkpoints, so that it may begin differently.

    Only a `config.json` with the keys of a run is removed, not a study's or the user's own.

    Args:
      values: config of the run that is about to begin.
      workdir: of that run.
    """
    folders = (workdir / phase / kind for phase in PHASES for kind in ("best", "last"))
    if any(path.name.isdecimal() for folder in folders for path in folder.glob("*")):
        return
    try:
        held = json.loads((workdir / CONFIG_FILE).read_text(encoding="utf-8"))
        is_a_runs = _flatten(held).keys() == _flatten(values).keys()
    except (OSError, ValueError, AttributeError):
        return
    if is_a_runs:
        for file in (SPLIT_FILE, CONFIG_FILE):
            remove(workdir / file)


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns {"a": {"b": 1}} as {"a.b": 1}; an empty group is one entry."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
