"""The state of a run: what a step changes, as one pytree of arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from fakd_jax.distillation.projection import Projection
from fakd_jax.errors import UserError

# Sums over the epoch so far, each over images: their quotients by "count" are the epoch's means.
SUMMED = ("loss", "ce", "kd", "fa", "correct", "count")


class Learner(nnx.Module):
    """What the optimizer trains: the network and, with feature alignment, its projection.

    The projection is trained jointly with the student (paper, section III-C) and is a module
    beside it, not within, so that the student that is saved and deployed is clean.
    """

    def __init__(self, network: nnx.Module, projection: Projection | None = None) -> None:
        self.network = network
        self.projection = projection


class TrainState(NamedTuple):
    """Everything that a training step reads and replaces.

    Attributes:
      step: int32 scalar, updates made.
      params: the learner's parameters, float32.
      batch_stats: running batch statistics, float32.
      optimizer_state: optax's.
      sums: float32 scalars over the epoch so far, see `SUMMED`.
    """

    step: jax.Array
    params: nnx.State
    batch_stats: nnx.State
    optimizer_state: optax.OptState
    sums: dict[str, jax.Array]


def zero_sums() -> dict[str, jax.Array]:
    """Returns sums over no images."""
    return {name: jnp.zeros((), jnp.float32) for name in SUMMED}


def _copied(array: jax.Array) -> jax.Array:
    return jax.device_put(np.array(array))


def initial_state(learner: Learner, optimizer: optax.GradientTransformation) -> TrainState:
    """Returns the state before the first step of training `learner`.

    Its arrays are copies: the first step donates them, and the learner keeps its own.
    """
    params, batch_stats = nnx.state(learner, nnx.Param, nnx.BatchStat)
    # By way of the host, and in one program: one a shape would take seconds to compile.
    params, batch_stats = jax.tree.map(_copied, (params, batch_stats))
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=batch_stats,
        optimizer_state=jax.jit(optimizer.init)(params),
        sums=zero_sums(),
    )


def _path_names(path: tuple[Any, ...]) -> list[str]:
    """Names of a key path's entries; an NNX variable's `.value` is not a name of its own."""
    names = []
    for entry in path:
        name = next(
            str(getattr(entry, kind)) for kind in ("key", "name", "idx") if hasattr(entry, kind)
        )
        names.append(name)
    return names[:-1] if names and names[-1] == "value" else names


def to_named_arrays(tree: Any) -> dict[str, np.ndarray]:
    """Flattens a pytree to `{"a/b/c": array}`, the form in which checkpoints keep it."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {"/".join(_path_names(path)): np.asarray(leaf) for path, leaf in leaves}


def from_named_arrays(skeleton: Any, named: dict[str, np.ndarray]) -> Any:
    """Fills a pytree of `skeleton`'s structure with arrays kept by `to_named_arrays`.

    Raises:
      UserError: listing every array that is missing, left over, or of another shape or type.
    """
    leaves, treedef = jax.tree_util.tree_flatten_with_path(skeleton)
    names = ["/".join(_path_names(path)) for path, _ in leaves]
    problems = [f"missing {name}" for name in names if name not in named]
    problems += [f"unknown {name}" for name in named if name not in set(names)]
    for name, (_, leaf) in zip(names, leaves, strict=True):
        array = named.get(name)
        if array is not None and (array.shape, array.dtype) != (leaf.shape, leaf.dtype):
            problems.append(f"{name} is {array.shape} {array.dtype}, not {leaf.shape} {leaf.dtype}")
    if problems:
        raise UserError(f"the training checkpoint does not fit this config: {'; '.join(problems)}")
    return jax.tree_util.tree_unflatten(treedef, [jax.device_put(named[name]) for name in names])
