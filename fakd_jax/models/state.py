"""A network's parameters and batch statistics as plain nested dictionaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx, traverse_util

from fakd_jax.errors import UserError

COLLECTIONS: dict[str, type[nnx.Variable]] = {"params": nnx.Param, "batch_stats": nnx.BatchStat}


def model_state(model: nnx.Module) -> dict[str, Any]:
    """Reads a model's parameters and batch statistics.

    Returns:
      `{'params': {...}, 'batch_stats': {...}}`, keys all strings (list entries as '0', '1', …),
      leaves the model's arrays themselves (not copies).
    """
    state: dict[str, Any] = {}
    for name, kind in COLLECTIONS.items():
        flat = traverse_util.flatten_dict(nnx.to_pure_dict(nnx.state(model, kind)))
        state[name] = unflatten_state({_dotted(*path): leaf for path, leaf in flat.items()})
    return state


def flatten_state(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Leaves by dotted path, such as `params.layer1.0.conv1.kernel`."""
    return traverse_util.flatten_dict(tree, sep=".")


def unflatten_state(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of :func:`flatten_state`."""
    return traverse_util.unflatten_dict(leaves, sep=".")


def set_model_state(
    model: nnx.Module, tree: Mapping[str, Any], *, allow_missing: Sequence[str] = ()
) -> list[str]:
    """Writes a state into a model, entirely or not at all.

    Args:
      model: Changed in place.
      tree: As of :func:`model_state`; values are cast to the model's dtypes.
      allow_missing: Prefixes of paths (`fc`, `classifier_3.kernel`, without the collection's name)
        that may be absent; the model then keeps its initial values.

    Returns:
      The paths that kept their initial values, each as `collection.path`.

    Raises:
      UserError: Lists every missing, extra and misshaped path; the model is unchanged.
    """
    wanted, given = flatten_state(model_state(model)), flatten_state(tree)
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
        listed = "; ".join(f"{kind}: {', '.join(each)}" for kind, each in problems.items() if each)
        raise UserError(
            f"these weights do not fit a {type(model).__name__}: {listed}; "
            "give the arch and the class count that they were made for"
        )
    for name, kind in COLLECTIONS.items():
        state = nnx.state(model, kind)
        for path, variable in nnx.to_flat_state(state):
            if (key := _dotted(name, *path)) in given:
                variable.set_value(jax.device_put(np.asarray(given[key], variable.dtype)))
        nnx.update(model, state)
    return left


def has_prefix(path: str, prefixes: Sequence[str]) -> bool:
    """Whether the dotted path is one of the prefixes or lies below one (`fc`, not `fc2`)."""
    return any(path == prefix or path.startswith(f"{prefix}.") for prefix in prefixes)


def _dotted(*path: Any) -> str:
    return ".".join(map(str, path))
