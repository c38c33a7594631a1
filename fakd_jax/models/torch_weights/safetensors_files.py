"""Safetensors, read without PyTorch: one file, or shards with an index as Hugging Face writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from fakd_jax.errors import UserError, listed
from fakd_jax.runtime.hashing import sha256, sha256_of_file
from fakd_jax.runtime.json_text import parse_json, require_shape

INDEX_SUFFIX = ".safetensors.index.json"

_DTYPES: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


def weight_files(path: Path) -> list[Path]:
    """The files of weights that a path stands for.

    Args:
      path: a file; an index of shards (`….safetensors.index.json`); or a folder with one index or
        one `.safetensors` file.

    Raises:
      UserError: it does not exist; a folder without weights or with several; a damaged index, or
        shards missing.
    """
    if path.is_dir():
        path = _only_one_in(path)
    if not path.is_file():
        raise UserError(f"the weights file {path} does not exist; check the path")
    return _shards(path) if path.name.endswith(INDEX_SUFFIX) else [path]


def sha256_of_weights(path: Path) -> str:
    """The digest of a file's bytes, or of the digests of its shards."""
    digests = [sha256_of_file(file) for file in weight_files(path)]
    return digests[0] if len(digests) == 1 else sha256(*digests)


def read_safetensors(files: Sequence[Path]) -> dict[str, np.ndarray]:
    """The arrays of one file or of all shards, by key, in their own dtype.

    Raises:
      UserError: a damaged file, a dtype without a counterpart in NumPy, or a key in two shards.
    """
    arrays: dict[str, np.ndarray] = {}
    for file in files:
        read = _read(file)
        if twice := sorted(arrays.keys() & read.keys()):
            found = listed(twice)
            raise UserError(f"{file} has keys of another shard ({found}); download it again")
        arrays |= read
    return arrays


def _only_one_in(folder: Path) -> Path:
    indices = sorted(folder.glob(f"*{INDEX_SUFFIX}"))
    found = indices or sorted(folder.glob("*.safetensors"))
    if len(found) == 1:
        return found[0]
    names = listed([file.name for file in found or sorted(folder.iterdir())])
    if found:
        raise UserError(f"the folder {folder} has several files of weights ({names}); give one")
    raise UserError(
        f"the folder {folder} has no .safetensors file and no index of shards (it has "
        f"{names or 'nothing'}); give the file of weights itself"
    )


def _shards(index: Path) -> list[Path]:
    """The files that an index names, all of which lie beside it."""
    try:
        content = parse_json(index.read_text(encoding="utf-8"))
        require_shape(content, {"weight_map": {str: str}})
        names = sorted(set(content["weight_map"].values()))
        if outside := [name for name in names if Path(name).name != name]:
            raise ValueError(f"{outside[0]!r} is not the name of a file beside it")
    except (OSError, ValueError) as error:
        raise UserError(
            f"{index} is not an index of shards ({error}); download it again"
        ) from error
    files = [index.with_name(name) for name in names]
    if missing := [file.name for file in files if not file.is_file()]:
        raise UserError(
            f"{index} names shards that are not beside it ({listed(missing)}); download them too"
        )
    if not files:
        raise UserError(f"{index} names no shards; download it again")
    return files


def _read(path: Path) -> dict[str, np.ndarray]:
    import safetensors

    try:
        entries = safetensors.deserialize(path.read_bytes())
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{path} is not a readable safetensors file ({error}); download it again"
        ) from error
    unknown = {entry["dtype"] for _, entry in entries} - _DTYPES.keys()
    if unknown:
        raise UserError(
            f"{path} has values of dtype {', '.join(sorted(unknown))}; save it as float32"
        )
    return {
        key: np.frombuffer(entry["data"], _DTYPES[entry["dtype"]]).reshape(entry["shape"])
        for key, entry in entries
    }
