"""PyTorch checkpoints and safetensors files as NumPy arrays, without executing their code."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from fakd_jax.errors import UserError

# Keys under which training scripts store a state dict, and prefixes that wrappers add to its keys
# (DataParallel and DistributedDataParallel, torch.compile).
_NESTED_UNDER = ("state_dict", "model_state_dict", "model")
_WRAPPER_PREFIXES = ("module.", "_orig_mod.")

_SAFETENSORS_DTYPES: dict[str, Any] = {
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


def read_state_dict(path: Path | str) -> dict[str, np.ndarray]:
    """Reads a state dict from a `.pth` or `.pt` file (needs PyTorch) or a `.safetensors` file.

    The dict may be nested under `state_dict`, `model_state_dict` or `model`; prefixes of wrappers
    (`module.`) are removed.

    Returns:
      Arrays by PyTorch key; floating-point ones as float32, others in their own dtype.

    Raises:
      UserError: no such file; not a checkpoint or a damaged one; pickled code in it (refused:
        `weights_only=True`); no state dict in it; PyTorch is needed and not installed.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        kind = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise UserError(f"the weights file {path} {kind}; check the path")
    tree = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    size = path.stat().st_size
    arrays = {}
    for key, value in _state_dict_in(tree, path).items():
        if math.prod(value.shape) > size:  # a view that repeats a few values, or has none
            raise UserError(f"{path} lacks most of the values of {key}; save dense tensors")
        arrays[str(key)] = as_array(value)
    return _without_wrapper_prefixes(arrays)


def as_array(value: Any) -> np.ndarray:
    """Converts a PyTorch tensor or an array to NumPy; floating-point values become float32.

    Raises:
      UserError: a quantised or sparse tensor.
    """
    if hasattr(value, "detach"):  # a tensor; NumPy has no bfloat16
        if value.is_quantized or value.is_sparse:
            raise UserError("the weights are quantised or sparse; save them as dense float32")
        value = value.detach().cpu()
        value = (value.float() if value.is_floating_point() else value).numpy()
    array = np.asarray(value)
    floating = np.issubdtype(array.dtype, np.floating) or array.dtype == ml_dtypes.bfloat16
    return array.astype(np.float32) if floating else array


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    import safetensors

    try:
        entries = safetensors.deserialize(path.read_bytes())
    except (OSError, safetensors.SafetensorError) as error:
        raise UserError(
            f"{path} is not a readable safetensors file ({error}); download it again"
        ) from error
    unknown = {entry["dtype"] for _, entry in entries} - _SAFETENSORS_DTYPES.keys()
    if unknown:
        raise UserError(
            f"{path} has values of dtype {', '.join(sorted(unknown))}; save it as float32"
        )
    return {
        key: np.frombuffer(entry["data"], _SAFETENSORS_DTYPES[entry["dtype"]]).reshape(
            entry["shape"]
        )
        for key, entry in entries
    }


def _read_torch(path: Path) -> Any:
    """`torch.load` without executing pickled code."""
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"reading {path.name} needs PyTorch: pip install -e '.[convert]' "
            "(a .safetensors file does not)"
        ) from error
    try:
        _require_uncompressed(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # a broken file makes the unpickler raise nearly anything
        complaint = str(error)
    # PyTorch's words for a foreign class in the pickle (torch/_weights_only_unpickler.py) and for
    # TorchScript archives (torch/serialization.py); all else is damage or another format.
    if "GLOBAL" in complaint or "TorchScript" in complaint:
        raise UserError(
            f"{path} holds pickled Python code, which is never run; save only the weights: "
            "torch.save(model.state_dict(), FILE)"
        )
    raise UserError(
        f"{path} is not a PyTorch checkpoint, or a damaged one "
        f"({path.stat().st_size:,} bytes); download it again"
    )


def _require_uncompressed(path: Path) -> None:
    """Refuses an archive that swells in memory; PyTorch compresses none."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(info.file_size > path.stat().st_size for info in archive.infolist()):
                raise UserError(f"{path} is compressed; save it again with torch.save")


def _state_dict_in(tree: Any, path: Path, depth: int = 0) -> Mapping[str, Any]:
    """Finds the mapping from names to tensors in a file's content."""
    if depth <= len(_NESTED_UNDER) and isinstance(tree, Mapping):
        nested = [key for key in _NESTED_UNDER if isinstance(tree.get(key), Mapping)]
        if len(nested) > 1:
            raise UserError(
                f"{path} has several state dicts ({', '.join(nested)}); save the one to use"
            )
        if nested:
            return _state_dict_in(tree[nested[0]], path, depth + 1)
        others = [key for key, value in tree.items() if not hasattr(value, "shape")]
        if tree and not others:
            return tree
        if len(others) < len(tree):
            raise UserError(
                f"{path} mixes weights with other things ({', '.join(map(str, others))}); "
                "save only the weights: torch.save(model.state_dict(), FILE)"
            )
    raise UserError(
        f"no state dict in {path}: expected tensors by name, directly or under "
        f"{', '.join(_NESTED_UNDER)}; save model.state_dict()"
    )


def _without_wrapper_prefixes(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    for prefix in _WRAPPER_PREFIXES:
        if all(key.startswith(prefix) for key in arrays):
            stripped = {key.removeprefix(prefix): value for key, value in arrays.items()}
            return _without_wrapper_prefixes(stripped)
    return arrays
