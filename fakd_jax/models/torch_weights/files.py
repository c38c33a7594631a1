"""Files of PyTorch weights as NumPy arrays, without executing anything in them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from fakd_jax.errors import UserError
from fakd_jax.models.torch_weights.content import refuse_other_content
from fakd_jax.models.torch_weights.locate import Weights, find_weights, with_head
from fakd_jax.models.torch_weights.names import KeyTable
from fakd_jax.models.torch_weights.pickles import read_pickle
from fakd_jax.models.torch_weights.safetensors_files import read_safetensors, weight_files


def read_weights(
    path: Path | str,
    table: KeyTable | None = None,
    *,
    key: str | None = None,
    ema: bool = False,
    head: str | None = None,
) -> Weights:
    """Reads a network's weights, wherever in the file they are.

    Args:
      path: a `.safetensors` file, an index of shards (`….safetensors.index.json`), a folder with
        one of the two, or a file of `torch.save` (needs PyTorch).
      table: the names of the network's arrays, by which it is found in the file; None takes any
        array for the network's.
      key: dotted name of the part of the file to look at; None for all of it.
      ema: whether to take averaged weights rather than plain ones.
      head: linear layer that takes the place of the network's last one, see :func:`with_head`.

    Returns:
      NumPy arrays by PyTorch key, without a prefix that all have in common; floating-point ones as
      float32, others in their own dtype.

    Raises:
      UserError: no such file; not a checkpoint or a damaged one; pickled code in it (refused:
        `weights_only=True`); no state dict in it, or several; PyTorch is needed and not installed.
    """
    path = Path(path).expanduser()
    files = weight_files(path)
    for file in files:
        refuse_other_content(file)
    is_safe = files[0].suffix == ".safetensors"
    tree = read_safetensors(files) if is_safe else read_pickle(files[0])
    weights = find_weights(tree, str(path), table, key=key, ema=ema)
    if head is not None:
        if table is None:
            raise ValueError("a head needs the network's key table")
        weights = with_head(weights, head, table, str(path))
    size = sum(file.stat().st_size for file in files)
    arrays = {}
    for name, value in weights.arrays.items():
        if math.prod(value.shape) > size:  # a view that repeats a few values, or has none
            raise UserError(f"{path} lacks most of the values of {name}; save dense tensors")
        arrays[name] = as_array(value)
    return dataclasses.replace(weights, arrays=arrays)


def read_state_dict(
    path: Path | str, *, log: Callable[[str], object] = print, **options: Any
) -> dict[str, np.ndarray]:
    """The arrays of :func:`read_weights`, logging what was chosen, taken off and left out.

    Args:
      path: see there.
      log: called with each line.
      **options: `table`, `key`, `ema` and `head`, see there.

    Raises:
      UserError: see there.
    """
    weights = read_weights(path, **options)
    for note in weights.notes:
        log(f"{path}: {note}")
    return dict(weights.arrays)


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
