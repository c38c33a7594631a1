"""Checkpoints of networks: arrays in Orbax, metadata beside them in JSON.

A checkpoint is a folder with `model/` and `metadata.json`. Training and
`scripts/convert_weights.py` write it; the predictor, evaluation and later trainings read it.
Arrays are stored without their placement, so what a GPU wrote opens on a CPU.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike

from fakd_jax.errors import UserError
from fakd_jax.models.registry import create_as_stored
from fakd_jax.models.state import COLLECTIONS, set_model_state

FORMAT_VERSION = 1
METADATA_FILE = "metadata.json"
MODEL_FOLDER = "model"


def save_model(
    directory: Path | str, state: Mapping[str, Any], metadata: Mapping[str, Any]
) -> None:
    """Writes a checkpoint, so that an interruption leaves the previous one readable.

    Everything is written to a hidden folder beside `directory` and then renamed. Of several
    processes that train together, only one may call this.

    Args:
      directory: becomes the checkpoint; an existing one is replaced.
      state: as of :func:`fakd_jax.models.state.model_state`; arrays on any device.
      metadata: JSON-able values; `format_version` is added.

    Raises:
      UserError: the folder cannot be written.
    """
    directory = Path(directory).absolute()
    text = json.dumps({"format_version": FORMAT_VERSION, **metadata}, indent=2, ensure_ascii=False)
    fresh, old = _hidden(directory, "saving"), _hidden(directory, "replaced")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        _remove(fresh)
        fresh.mkdir()
        write_arrays(fresh / MODEL_FOLDER, jax.tree.map(np.asarray, dict(state)))
        (fresh / METADATA_FILE).write_text(text + "\n", encoding="utf-8")
        if directory.exists():
            _remove(old)
            directory.rename(old)  # until the next line, `load_model` reads `old`
        fresh.rename(directory)
        _remove(old)
    except OSError as error:
        raise UserError(
            f"cannot write the checkpoint {directory}: {error.strerror or error}; "
            "choose a writable folder with enough room"
        ) from error


def load_metadata(directory: Path | str) -> dict[str, Any]:
    """Reads the metadata of a checkpoint, with at least `format_version`, `arch`, `num_classes`.

    Raises:
      UserError: no checkpoint there, not one of fakd_jax, or of another format.
    """
    directory = _readable(Path(directory).absolute())
    file = directory / METADATA_FILE
    if not file.is_file():
        raise UserError(
            f"no model checkpoint in {directory}: it has no {METADATA_FILE}; "
            "give a folder written by fakd_jax.train or scripts/convert_weights.py"
        )
    try:
        metadata = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error}); restore or recreate it") from error
    needed = ("format_version", "arch", "num_classes")
    if not isinstance(metadata, dict) or any(key not in metadata for key in needed):
        raise UserError(f"{file} is not metadata of a fakd_jax model: it lacks {', '.join(needed)}")
    if metadata["format_version"] != FORMAT_VERSION:
        raise UserError(
            f"{file} has format {metadata['format_version']}, this version of fakd_jax reads "
            f"{FORMAT_VERSION}; use the version that wrote it"
        )
    return metadata


def load_model(directory: Path | str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads a checkpoint, whatever device wrote it.

    Returns:
      The state as of :func:`fakd_jax.models.state.model_state`, as NumPy arrays, and the metadata.

    Raises:
      UserError: no checkpoint there, of another format, or damaged.
    """
    directory = _readable(Path(directory).absolute())
    metadata = load_metadata(directory)
    try:
        state = read_arrays(directory / MODEL_FOLDER)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).partition("\n")[0][:200]
        raise UserError(
            f"the checkpoint {directory} is damaged or incomplete ({reason}); "
            "copy or create it again"
        ) from error
    return {name: state.get(name) or {} for name in COLLECTIONS}, metadata


def build_model(
    directory: Path | str, *, dtype: DTypeLike = jnp.float32, num_classes: int | None = None
) -> tuple[nnx.Module, dict[str, Any]]:
    """Creates the network that a checkpoint describes, with the checkpoint's weights.

    Args:
      directory: the checkpoint.
      dtype: compute dtype; parameters and statistics stay float32.
      num_classes: the number of classes that the caller needs; None accepts any.

    Returns:
      The model, in training mode as NNX modules are, and the metadata.

    Raises:
      UserError: as :func:`load_model`; or the checkpoint has another number of classes.
    """
    state, metadata = load_model(directory)
    if num_classes is not None and metadata["num_classes"] != num_classes:
        raise UserError(
            f"the checkpoint {directory} has {metadata['num_classes']} classes, "
            f"{num_classes} are needed; give one trained on the same classes"
        )

    def create() -> nnx.Module:
        return create_as_stored(metadata, dtype=dtype, rngs=nnx.Rngs(0))

    model = nnx.eval_shape(create)  # shapes only: drawing values to overwrite takes seconds
    if jax.tree.leaves(nnx.state(model, nnx.Not(nnx.Any(*COLLECTIONS.values())))):
        model = create()  # a network with more state than that, such as a random stream
    set_model_state(model, state)
    return model, metadata


def resolve_checkpoint(path: Path | str) -> Path:
    """Finds the checkpoint that a user means.

    Args:
      path: a workdir (its best student), its `student` or `teacher` folder (the best of it),
        a `best` or `last` folder (the newest step), or a checkpoint itself.

    Returns:
      The folder with `metadata.json`.

    Raises:
      UserError: nothing there, with the places searched.
    """
    path = Path(path).expanduser().absolute()
    if _is_checkpoint(readable := _readable(path)):
        return readable
    if not path.is_dir():
        raise UserError(f"no checkpoint folder {path}; check the path")
    looked = [path / METADATA_FILE]
    for steps in (path, path / "best", path / "student" / "best"):
        if newest := _newest_step(steps):
            return newest
        looked.append(steps / "<step>" / METADATA_FILE)
    hint = ""
    if _newest_step(path / "teacher" / "best"):
        hint = f" (there is a teacher: give {path / 'teacher'} if you mean that)"
    elif not (path / "last").is_dir() and (path / "student" / "last").is_dir():
        hint = f" (there is an unfinished student: give {path / 'student/last'} if you mean that)"
    raise UserError(
        f"no checkpoint in {path}: looked for {', '.join(str(file) for file in looked)}{hint}"
    )


def write_arrays(folder: Path, state: dict[str, Any]) -> None:
    """Writes a tree of NumPy arrays, which have no placement, with Orbax."""
    import orbax.checkpoint as ocp

    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        checkpointer.save(folder, state)


def read_arrays(folder: Path) -> dict[str, Any]:
    """Reads a tree of arrays with Orbax as NumPy, whatever device they were on."""
    import orbax.checkpoint as ocp
    from etils import epath

    if not folder.is_dir():
        raise FileNotFoundError(f"there is no {folder.name}/ folder in it")
    handler = ocp.PyTreeCheckpointHandler()
    described = handler.metadata(epath.Path(folder)).tree  # raises; a Checkpointer would only log
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), described)
    with ocp.Checkpointer(handler) as checkpointer:
        return checkpointer.restore(folder, args=ocp.args.PyTreeRestore(restore_args=as_numpy))


def _newest_step(folder: Path) -> Path | None:
    """The checkpoint with the highest number among the folder's children, or None."""
    steps = [step for step in folder.glob("*") if step.name.isdecimal() and _is_checkpoint(step)]
    return max(steps, key=lambda step: int(step.name), default=None)


def _is_checkpoint(folder: Path) -> bool:
    return (folder / METADATA_FILE).is_file()


def _hidden(directory: Path, role: str) -> Path:
    return directory.with_name(f".{directory.name}.{role}")


def _readable(directory: Path) -> Path:
    """The folder, or its predecessor if `save_model` was interrupted between its two renames."""
    old = _hidden(directory, "replaced")
    return old if not directory.exists() and _is_checkpoint(old) else directory


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
