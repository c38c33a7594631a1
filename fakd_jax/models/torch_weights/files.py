"""Files of PyTorch weights as NumPy arrays, without executing anything in them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.models.torch_weights.content import refuse_other_content
from fakd_jax.models.torch_weights.locate import (
    Weights,
    find_weights,
    keys_of_arrays,
    with_head,
)
from fakd_jax.models.torch_weights.names import KeyTable, recognise
from fakd_jax.models.torch_weights.pickles import read_pickle
from fakd_jax.models.torch_weights.safetensors_files import read_safetensors, weight_files


def read_weights(
    path: Path | str,
    model: nnx.Module | None = None,
    *,
    naming: str = "",
    key: str | None = None,
    ema: bool = False,
    head: str | None = None,
) -> Weights:
    """Reads a network's weights, wherever in the file they are.

    Args:
      path: a `.safetensors` file, an index of shards (`….safetensors.index.json`), a folder with
        one of the two, or a file of `torch.save` (needs PyTorch).
      model: a network of ours, which is found in the file by the names of its arrays; shapes of its
        weights suffice. None takes any array for the network's.
      naming: as of :func:`recognise`.
      key: dotted name of the part of the file to look at; None for all of it.
      ema: whether to take averaged weights rather than plain ones.
      head: linear layer that takes the place of the network's last one, see :func:`with_head`.

    Returns:
      NumPy arrays by PyTorch key, without a prefix that all have in common; floating-point ones as
      float32, others in their own dtype. With a model, also the naming of the keys.

    Raises:
      UserError: no such file; not a checkpoint or a damaged one; pickled code in it (refused:
        `weights_only=True`); no state dict in it, or several; PyTorch is needed and not installed;
        which of timm's networks it is of has to be named.
    """
    path = Path(path).expanduser()
    files = weight_files(path)
    for file in files:
        refuse_other_content(file)
    is_safe = files[0].suffix == ".safetensors"
    tree = read_safetensors(files) if is_safe else read_pickle(files[0])
    table = None
    if model is not None:
        table = recognise(model, keys_of_arrays(tree, key), naming)
        _require_named(path, table, naming)
    weights = find_weights(tree, str(path), table, key=key, ema=ema)
    if head is not None:
        if table is None:
            raise ValueError("a head needs the network")
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
      **options: `model`, `naming`, `key`, `ema` and `head`, see there.

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


def _require_named(path: Path, table: KeyTable, naming: str) -> None:
    """Refuses to guess which of timm's networks a file is from, if its name says tf_."""
    if "tf_" in path.name and table.naming == "timm" and "padding" in table.settings and not naming:
        raise UserError(
            f"{path} has timm's keys, and by its name is of a network with TensorFlow's padding; "
            "convert it (fakd convert) with --naming timm_tf, or with --naming timm if it is not"
        )
