"""Checkpoints of networks: arrays in Orbax, metadata beside them in JSON, digests of both.

A checkpoint is a folder with `model/`, `metadata.json` and `SHA256SUMS`. Training and
`fakd convert` write it; the predictor, evaluation and later trainings read it.
Arrays are stored without their placement, so what a GPU wrote opens on a CPU.

Every read is verified twice: `SHA256SUMS` has a digest of each file, which finds a changed bit
anywhere in the folder, and `metadata.json` has one of each array, which names the array.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike

from fakd_jax.errors import DamagedError, UserError, listed
from fakd_jax.models.bundles import unpack_bundle
from fakd_jax.models.registry import create_as_stored
from fakd_jax.models.state import COLLECTIONS, flatten_state, set_model_state
from fakd_jax.runtime.atomic_files import failed_write, make_folders, sync, sync_tree
from fakd_jax.runtime.hashing import sha256_of_typed_array
from fakd_jax.runtime.hub import local_path
from fakd_jax.runtime.json_text import parse_json, require_shape
from fakd_jax.runtime.sha256sums import SUMS_FILE, damaged_files, write_sums

FORMAT_VERSION = 2
FORMAT_WITHOUT_DIGESTS = 1
METADATA_FILE = "metadata.json"
MODEL_FOLDER = "model"
DIGESTS_KEY = "array_sha256"
MAX_LISTED_PROBLEMS = 20
_SHAPE = {
    "format_version": int,
    "arch": str,
    "num_classes": int,
    "class_names?": ([str], None),
    "overrides?": ({}, None),
    "module?": (str, None),
    "preprocessing?": (
        {
            "image_size?": int,
            "mean": [float],
            "std": [float],
            "interpolation?": str,
            "pixels?": {"window": ({}, None), "slice_axis": str},
        },
        None,
    ),
    "negative_class?": (str, None),
    "head?": (str, None),
    "source?": ({}, None),
    "data?": ({"source?": (str, None), "split?": (str, None)}, None),
    "config?": (
        {
            "name?": (str, None),
            "dtype?": str,
            "data?": {"source?": str, "cache_dir?": str, "unreadable?": str, "phantom?": {}},
        },
        None,
    ),
    "array_sha256?": {str: {str: str}},
}
LOGGER = logging.getLogger("fakd_jax")


def save_model(
    directory: Path | str, state: Mapping[str, Any], metadata: Mapping[str, Any]
) -> None:
    """Writes a network's checkpoint, see :func:`write_checkpoint`.

    Args:
      directory: becomes the checkpoint; an existing one is replaced.
      state: as of :func:`fakd_jax.models.state.model_state`; arrays on any device.
      metadata: JSON-able values.

    Raises:
      UserError: the folder cannot be written.
    """
    write_checkpoint(directory, {MODEL_FOLDER: state}, metadata)


def write_checkpoint(
    directory: Path | str,
    trees: Mapping[str, Mapping[str, Any]],
    metadata: Mapping[str, Any],
    documents: Mapping[str, Any] | None = None,
) -> None:
    """Writes a checkpoint, so that a crash or a power cut leaves the previous one readable.

    Everything is written to a hidden folder beside `directory`, synced to disk and then renamed.
    Of several processes that train together, only one may call this.

    Args:
      directory: becomes the checkpoint; an existing one is replaced.
      trees: nested dictionaries of arrays, by the folder in which each is stored.
      metadata: JSON-able values; the format and the arrays' digests are added.
      documents: further JSON-able values, by file name.

    Raises:
      UserError: the folder cannot be written.
    """
    directory = Path(directory).absolute()
    arrays = {folder: jax.tree.map(np.asarray, dict(tree)) for folder, tree in trees.items()}
    digests = {folder: _digests(tree) for folder, tree in arrays.items()}
    described = {**metadata, "format_version": FORMAT_VERSION, DIGESTS_KEY: digests}
    texts = {METADATA_FILE: _json(described)}
    texts |= {name: _json(document) for name, document in (documents or {}).items()}
    fresh, old = _hidden(directory, "saving"), _hidden(directory, "replaced")
    try:
        make_folders(directory.parent)
        _remove(fresh)
        fresh.mkdir()
        _require_room(fresh, sum(array.nbytes for array in jax.tree.leaves(arrays)))
        for folder, tree in arrays.items():
            write_arrays(fresh / folder, tree)
        for name, text in texts.items():
            (fresh / name).write_text(text, encoding="utf-8")
        write_sums(fresh)
        sync_tree(fresh)
        if directory.exists():
            _remove(old)
            directory.rename(old)  # until the next line, `load_model` reads `old`
        fresh.rename(directory)
        sync(directory.parent)
        _remove(old)
    except (OSError, RuntimeError, ValueError) as error:
        if (reason := failed_write(error)) is None:
            raise
        raise UserError(
            f"cannot write the checkpoint {directory}: {reason}; "
            "choose a writable folder with enough room"
        ) from error
    finally:
        if fresh.exists():  # what a failure left, perhaps on a full disk
            shutil.rmtree(fresh, ignore_errors=True)


def _require_room(folder: Path, size: int) -> None:
    """Checks for room before Orbax starts, which prints tracebacks when a write fails half-way."""
    disk = shutil.disk_usage(folder)
    if disk.total and disk.free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def load_metadata(directory: Path | str) -> dict[str, Any]:
    """Reads the metadata of a checkpoint, with at least `format_version`, `arch`, `num_classes`.

    Raises:
      UserError: no checkpoint there, not one of fakd_jax, or of another format.
      DamagedError: it is damaged.
    """
    directory = _readable(Path(directory).absolute())
    file = directory / METADATA_FILE
    if not file.is_file():
        raise DamagedError(
            f"no model checkpoint in {directory}: it has no {METADATA_FILE}; "
            "give a folder written by fakd train or fakd convert"
        )
    verifiable = (directory / SUMS_FILE).exists()
    if verifiable and (problems := damaged_files(directory, METADATA_FILE)):
        raise _damaged(directory, problems)
    try:
        metadata = parse_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DamagedError(f"{file} cannot be read ({error}); restore or recreate it") from error
    try:
        require_shape(metadata, _SHAPE)
        if metadata["num_classes"] < 1:
            raise ValueError("num_classes is below 1")
    except ValueError as error:
        raise DamagedError(f"{file} is not metadata of a fakd_jax model: {error}") from error
    version = metadata["format_version"]
    if version not in (FORMAT_VERSION, FORMAT_WITHOUT_DIGESTS):
        raise UserError(
            f"{file} has format {version}, this version of fakd_jax reads "
            f"{FORMAT_WITHOUT_DIGESTS} and {FORMAT_VERSION}; use the version that wrote it"
        )
    if version != FORMAT_WITHOUT_DIGESTS and not verifiable:
        raise _damaged(directory, [f"{SUMS_FILE} is missing"])
    return metadata


def load_model(directory: Path | str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads a network's checkpoint, whatever device wrote it.

    Returns:
      The state as of :func:`fakd_jax.models.state.model_state`, as NumPy arrays, and the metadata.

    Raises:
      UserError: no checkpoint there, or of another format.
      DamagedError: it is damaged; names every file and array that is not as it was written.
    """
    trees, metadata = read_checkpoint(directory, [MODEL_FOLDER])
    return {name: trees[MODEL_FOLDER].get(name) or {} for name in COLLECTIONS}, metadata


def read_checkpoint(
    directory: Path | str, folders: Collection[str] | None = None
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Reads a checkpoint that :func:`write_checkpoint` wrote, and verifies its digests.

    Args:
      directory: the checkpoint.
      folders: of the arrays to read; None for all. Files are verified in all folders.

    Returns:
      Trees of NumPy arrays by folder, and the metadata.

    Raises:
      UserError: no checkpoint there, or of another format.
      DamagedError: it is damaged; names every file and array that is not as it was written.
    """
    directory = _readable(Path(directory).absolute())
    metadata = load_metadata(directory)
    verifiable = metadata["format_version"] != FORMAT_WITHOUT_DIGESTS
    digests = metadata.get(DIGESTS_KEY, {})
    if folders is None:
        folders = digests or [path.name for path in directory.iterdir() if path.is_dir()]
    if verifiable and (problems := damaged_files(directory)):
        for folder in folders:
            problems += _changed_arrays(directory / folder, digests.get(folder, {}))
        raise _damaged(directory, problems)
    trees = {}
    for folder in folders:
        try:
            trees[folder] = read_arrays(directory / folder)
        except Exception as error:  # Orbax raises errors of any type for what it cannot read
            raise _damaged(directory, [f"{folder}/ cannot be read ({_reason(error)})"]) from error
        if verifiable and (problems := _differing(folder, trees[folder], digests.get(folder, {}))):
            raise _damaged(directory, problems)
    if not verifiable:
        LOGGER.warning(
            "the checkpoint %s was written by an earlier version, without digests: it cannot be "
            "verified, and damage would go unnoticed",
            directory,
        )
    return trees, metadata


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
        a `best` or `last` folder (the newest step), a checkpoint itself, a bundle's zip, which is
        unpacked into the user's cache, or `hf://OWNER/NAME[@REVISION]`, a bundle on the Hugging
        Face Hub, which is pulled into that library's.

    Returns:
      The folder with `metadata.json`.

    Raises:
      UserError: nothing there, with the places searched; or see
        :func:`fakd_jax.runtime.hub.pull_bundle`.
    """
    path = local_path(path).expanduser().absolute()
    if _is_checkpoint(readable := _readable(path)):
        return readable
    if path.is_file():
        return unpack_bundle(path, METADATA_FILE)
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

    alone = _this_process_alone()
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    with ocp.Checkpointer(handler, multiprocessing_options=alone) as checkpointer:
        checkpointer.save(folder, state)


def read_arrays(folder: Path) -> dict[str, Any]:
    """Reads a tree of arrays with Orbax as NumPy, whatever device they were on."""
    import orbax.checkpoint as ocp
    from etils import epath

    if not folder.is_dir():
        raise FileNotFoundError(f"there is no {folder.name}/ folder in it")
    alone = _this_process_alone()
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    described = handler.metadata(epath.Path(folder)).tree  # raises; a Checkpointer would only log
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), described)
    with ocp.Checkpointer(handler, multiprocessing_options=alone) as checkpointer:
        return checkpointer.restore(folder, args=ocp.args.PyTreeRestore(restore_args=as_numpy))


def _this_process_alone() -> Any:
    """Options of Orbax under which it does not wait for the other processes of a job."""
    import orbax.checkpoint as ocp

    this = jax.process_index()
    return ocp.options.MultiprocessingOptions(primary_host=this, active_processes={this})


def _changed_arrays(folder: Path, expected: Mapping[str, str]) -> list[str]:
    """Names the arrays of a damaged folder that changed or can no longer be read.

    Each is read alone and without Orbax, which reads all of them or none.
    """
    import tensorstore

    problems = []
    for name, digest in expected.items():
        store = {"driver": "ocdbt", "base": f"file://{folder}", "path": name}
        try:
            array = tensorstore.open({"driver": "zarr", "kvstore": store}).result().read().result()
        except Exception:  # TensorStore's are of many types
            problems.append(f"the array {folder.name}:{name} cannot be read")
        else:
            if sha256_of_typed_array(array) != digest:
                problems.append(f"the array {folder.name}:{name} changed")
    return problems


def _digests(tree: Mapping[str, Any]) -> dict[str, str]:
    """The digest of each array, by its dotted path."""
    arrays = flatten_state(tree)
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter's lock
        return dict(zip(arrays, pool.map(sha256_of_typed_array, arrays.values()), strict=True))


def _differing(folder: str, tree: Mapping[str, Any], expected: Mapping[str, str]) -> list[str]:
    """Names the arrays that do not have the digest expected."""
    found = _digests(tree)
    names = sorted(found.keys() | expected.keys())
    return [
        f"the array {folder}:{name} changed"
        for name in names
        if found.get(name) != expected.get(name)
    ]


def _damaged(directory: Path, problems: list[str]) -> DamagedError:
    found = listed(problems, most=MAX_LISTED_PROBLEMS, separator="; ")
    return DamagedError(
        f"the checkpoint {directory} is damaged or incomplete: {found}; copy or create it again"
    )


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _newest_step(folder: Path) -> Path | None:
    """The checkpoint with the highest number among the folder's children, or None.

    In `best/` and `last/` it may be damaged: an older one would not be what was asked for.
    """
    steps = [step for step in folder.glob("*") if step.name.isdecimal() and step.is_dir()]
    if folder.name not in ("best", "last"):
        steps = [step for step in steps if _is_checkpoint(step)]
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
