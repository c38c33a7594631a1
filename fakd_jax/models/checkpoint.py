"""The one model checkpoint: parameters and batch statistics in Orbax, facts beside them in JSON.

A checkpoint is a folder with `model/` (Orbax) and `metadata.json`. Training and
`scripts/convert_weights.py` write it; the predictor, evaluation and later trainings read it.
Arrays are stored without their placement, so that what a GPU wrote opens on a CPU.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike

from fakd_jax.errors import UserError

FORMAT_VERSION = 1
METADATA_FILE = "metadata.json"
MODEL_FOLDER = "model"
COLLECTIONS: dict[str, type[nnx.Variable]] = {"params": nnx.Param, "batch_stats": nnx.BatchStat}


def model_state(model: nnx.Module) -> dict[str, Any]:
    """Reads a model's parameters and batch statistics as plain nested dictionaries.

    Args:
      model: any NNX module.

    Returns:
      `{'params': {...}, 'batch_stats': {...}}`, keys all strings (list entries as '0', '1', …),
      leaves the model's arrays themselves (not copies).
    """
    return {
        name: _string_keys(nnx.to_pure_dict(nnx.state(model, kind)))
        for name, kind in COLLECTIONS.items()
    }


def flatten_state(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields `(dotted path, leaf)` of a state as of :func:`model_state`.

    Args:
      tree: nested mappings.
      prefix: put before every path.
    """
    for key, node in tree.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(node, Mapping):
            yield from flatten_state(node, path)
        else:
            yield path, node


def unflatten_state(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Nests what :func:`flatten_state` laid flat.

    Args:
      leaves: leaf by dotted path.

    Returns:
      Nested dictionaries.
    """
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *parents, last = path.split(".")
        node = tree
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = leaf
    return tree


def set_model_state(
    model: nnx.Module, tree: Mapping[str, Any], *, allow_missing: Sequence[str] = ()
) -> list[str]:
    """Writes a state as of :func:`model_state` into a model, entirely or not at all.

    Args:
      model: changed in place.
      tree: `{'params': …, 'batch_stats': …}`; values are cast to the model's dtypes.
      allow_missing: prefixes of paths (`fc`, `classifier_3.kernel`, dots between the parts,
        without the collection's name) that may be absent and then stay as drawn.

    Returns:
      The paths left as drawn, each as `collection.path`.

    Raises:
      UserError: lists every missing, extra and misshaped path at once; the model is unchanged.
    """
    wanted = dict(flatten_state(model_state(model)))
    given = dict(flatten_state(tree))
    absent = sorted(wanted.keys() - given.keys())
    left = [path for path in absent if has_prefix(path.partition(".")[2], allow_missing)]
    problems = {
        "missing": [path for path in absent if path not in left],
        "extra": sorted(given.keys() - wanted.keys()),
        "misshaped": [
            f"{path} has {np.shape(given[path])}, the model {np.shape(wanted[path])}"
            for path in sorted(wanted.keys() & given.keys())
            if np.shape(given[path]) != np.shape(wanted[path])
        ],
    }
    if any(problems.values()):
        told = "; ".join(f"{kind}: {', '.join(paths)}" for kind, paths in problems.items() if paths)
        raise UserError(
            f"these weights do not fit a {type(model).__name__}: {told}; "
            "give the arch and the class count that they were made for"
        )
    _assign(model, {path: value for path, value in given.items() if path in wanted})
    return left


def save_model(
    directory: Path | str, state: Mapping[str, Any], metadata: Mapping[str, Any]
) -> None:
    """Writes a model checkpoint, so that an interruption leaves the previous one readable.

    Everything is written to a hidden folder beside `directory` and then renamed. Where several
    processes train together, one of them calls this.

    Args:
      directory: becomes the checkpoint; one that exists is replaced.
      state: as of :func:`model_state`; arrays on any device.
      metadata: JSON-able facts; `format_version` is added.

    Raises:
      UserError: the folder can't be written.
    """
    directory = Path(directory).absolute()
    text = json.dumps({"format_version": FORMAT_VERSION, **metadata}, indent=2, ensure_ascii=False)
    fresh, old = _beside(directory, "saving"), _beside(directory, "replaced")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        _remove(fresh)
        fresh.mkdir()
        write_arrays(fresh / MODEL_FOLDER, jax.tree.map(np.asarray, dict(state)))
        (fresh / METADATA_FILE).write_text(text + "\n", encoding="utf-8")
        if directory.exists():
            _remove(old)
            directory.rename(old)  # from here to the next line load_model reads `old`
        fresh.rename(directory)
        _remove(old)
    except OSError as error:
        raise UserError(
            f"cannot write the checkpoint {directory}: {error.strerror or error}; "
            "choose a folder that can be written and has room"
        ) from error


def load_metadata(directory: Path | str) -> dict[str, Any]:
    """Reads the facts stored with a model checkpoint.

    Args:
      directory: a folder that :func:`save_model` wrote.

    Returns:
      The metadata, `format_version`, `arch` and `num_classes` among it.

    Raises:
      UserError: no checkpoint there, not one of ours, or of a newer format.
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
        raise UserError(f"{file} cannot be read ({error}); restore or remake it") from error
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
    """Reads a model checkpoint, whatever device wrote it.

    Args:
      directory: a folder that :func:`save_model` wrote.

    Returns:
      The state as of :func:`model_state`, leaves NumPy arrays, and the metadata.

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
            "copy it again or make it anew"
        ) from error
    return {name: state.get(name) or {} for name in COLLECTIONS}, metadata


def build_model(
    directory: Path | str,
    *,
    dtype: DTypeLike = jnp.float32,
    num_classes: int | None = None,
) -> tuple[nnx.Module, dict[str, Any]]:
    """Makes the network that a checkpoint describes and fills it with the checkpoint's weights.

    Args:
      directory: a folder that :func:`save_model` wrote.
      dtype: of the computation; parameters and statistics stay float32.
      num_classes: the class count that the caller needs; None takes any.

    Returns:
      The model, in the mode its constructor leaves it in, and the metadata.

    Raises:
      UserError: as :func:`load_model`; or the checkpoint has another class count.
    """
    from fakd_jax.models.registry import create_as_stored

    state, metadata = load_model(directory)
    if num_classes is not None and metadata["num_classes"] != num_classes:
        raise UserError(
            f"the checkpoint {directory} tells {metadata['num_classes']} classes apart, "
            f"{num_classes} are needed; give one trained on the same classes"
        )

    def create() -> nnx.Module:
        return create_as_stored(metadata, dtype=dtype, rngs=nnx.Rngs(0))

    model = nnx.eval_shape(create)  # shapes only: drawing values to overwrite takes seconds
    if jax.tree.leaves(nnx.state(model, nnx.Not(nnx.Any(*COLLECTIONS.values())))):
        model = create()  # a network that keeps more, such as a random stream
    set_model_state(model, state)
    return model, metadata


def resolve_checkpoint(path: Path | str) -> Path:
    """Finds the model checkpoint that a user means.

    Args:
      path: a workdir (its best student), its `student` or `teacher` folder (the best of it),
        a `best` or `last` folder (the newest step), or a checkpoint itself.

    Returns:
      The folder with `metadata.json`.

    Raises:
      UserError: nothing there, with what was looked for.
    """
    path = Path(path).expanduser().absolute()
    if not path.is_dir() and not _is_checkpoint(_readable(path)):
        raise UserError(f"no checkpoint folder {path}; check the path")
    if _is_checkpoint(_readable(path)):
        return _readable(path)
    looked = [path / METADATA_FILE]
    for steps in (path, path / "best", path / "student" / "best"):
        if newest := _newest_step(steps):
            return newest
        looked.append(steps / "<step>" / METADATA_FILE)
    hint = ""
    if _newest_step(path / "teacher" / "best"):
        hint = f" (there is a teacher: give {path / 'teacher'} if that is meant)"
    elif not (path / "last").is_dir() and (path / "student" / "last").is_dir():
        hint = (
            f" (there is an unfinished student: give {path / 'student' / 'last'} if that is meant)"
        )
    raise UserError(
        f"no checkpoint in {path}: looked for {', '.join(str(file) for file in looked)}{hint}"
    )


def _newest_step(folder: Path) -> Path | None:
    """The checkpoint with the highest number among the folder's children, or None."""
    if not folder.is_dir():
        return None
    steps = [
        child for child in folder.iterdir() if child.name.isdecimal() and _is_checkpoint(child)
    ]
    return max(steps, key=lambda child: int(child.name), default=None)


def _is_checkpoint(folder: Path) -> bool:
    return (folder / METADATA_FILE).is_file()


def _beside(directory: Path, role: str) -> Path:
    return directory.with_name(f".{directory.name}.{role}")


def _readable(directory: Path) -> Path:
    """The folder itself, or what it was before a replacement that broke off between two renames."""
    old = _beside(directory, "replaced")
    return old if not directory.exists() and _is_checkpoint(old) else directory


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def write_arrays(folder: Path, state: dict[str, Any]) -> None:
    """Writes a tree of NumPy arrays with Orbax; NumPy arrays carry no placement."""
    import orbax.checkpoint as ocp

    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        checkpointer.save(folder, state)


def read_arrays(folder: Path) -> dict[str, Any]:
    """Reads a tree of arrays with Orbax as NumPy, on whatever device they were."""
    import orbax.checkpoint as ocp
    from etils import epath

    if not folder.is_dir():
        raise FileNotFoundError(f"there is no {folder.name}{os.sep} folder in it")
    handler = ocp.PyTreeCheckpointHandler()
    described = handler.metadata(epath.Path(folder)).tree  # raises; a Checkpointer would only log
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), described)
    with ocp.Checkpointer(handler) as checkpointer:
        return checkpointer.restore(folder, args=ocp.args.PyTreeRestore(restore_args=as_numpy))


def _assign(model: nnx.Module, values: Mapping[str, Any]) -> None:
    """Puts arrays at `collection.path` into the model's variables, in the variables' dtypes."""
    for name, kind in COLLECTIONS.items():
        state = nnx.state(model, kind)
        current = nnx.to_pure_dict(state)
        nnx.replace_by_pure_dict(state, _filled(current, values, prefix=name))
        nnx.update(model, state)


def _filled(tree: Mapping[Any, Any], values: Mapping[str, Any], prefix: str) -> dict[Any, Any]:
    """The tree, its own keys kept, with the leaves that `values` names replaced."""
    filled: dict[Any, Any] = {}
    for key, node in tree.items():
        path = f"{prefix}.{key}"
        if isinstance(node, Mapping):
            filled[key] = _filled(node, values, path)
        else:
            filled[key] = (
                jax.device_put(np.asarray(values[path], node.dtype)) if path in values else node
            )
    return filled


def _string_keys(tree: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        str(key): _string_keys(node) if isinstance(node, Mapping) else node
        for key, node in tree.items()
    }


def has_prefix(path: str, prefixes: Sequence[str]) -> bool:
    """Whether the dotted path is one of the prefixes or lies under one (`fc`, not `fc2`)."""
    return any(path == prefix or path.startswith(f"{prefix}.") for prefix in prefixes)
