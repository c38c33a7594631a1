"""The state of training: what a step changes, as one pytree of arrays."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from fakd_jax.distillation.projection import Projection
from fakd_jax.errors import UserError

# Sums over the images of the epoch so far; divided by "count" they are the epoch's means. Further
# terms of the loss join them where they have a weight.
SUMMED = ("loss", "ce", "kd", "fa", "correct", "count")
LABELLED = "labelled"
"""Whether images are labelled, in batches where not all are; and their number, among the sums."""


class Learner(nnx.Module):
    """What the optimizer trains: the network and, with feature alignment, its projections.

    There is one per pair of layers, trained jointly with the student (paper, section III-C). They
    are modules beside the student and not within it: it is saved and deployed without them.
    """

    def __init__(self, network: nnx.Module, *projections: Projection) -> None:
        self.network = network
        # A list only where there are several: arrays of one keep their names in checkpoints.
        self.projection = nnx.List(projections) if len(projections) > 1 else (*projections, None)[0]

    @property
    def projections(self) -> tuple[Projection, ...]:
        """The projections, by pair of layers."""
        if isinstance(self.projection, nnx.List):
            return tuple(self.projection)
        return () if self.projection is None else (self.projection,)


class TrainState(NamedTuple):
    """Everything that a training step reads and replaces.

    Attributes:
      step: int32 scalar, the number of optimizer steps so far.
      params: the learner's parameters, float32.
      batch_stats: running batch statistics, float32.
      optimizer_state: optax's.
      sums: float32 scalars over the epoch so far, see :data:`SUMMED`.
      average: "params" and "batch_stats" averaged over the steps; empty without averaging.
    """

    step: jax.Array
    params: nnx.State
    batch_stats: nnx.State
    optimizer_state: optax.OptState
    sums: dict[str, jax.Array]
    average: dict[str, nnx.State]

    def averaged(self) -> TrainState:
        """Returns the state with the averages, if there are any, as its values."""
        values: dict[str, Any] = self.average
        return self._replace(**values)


def zero_sums(terms: Collection[str]) -> dict[str, jax.Array]:
    """Returns sums over no images: :data:`SUMMED` and those terms of the loss."""
    return {name: jnp.zeros((), jnp.float32) for name in dict.fromkeys((*SUMMED, *terms))}


def initial_state(
    learner: Learner,
    optimizer: optax.GradientTransformation,
    terms: Collection[str] = (),
    *,
    averages: bool = False,
) -> TrainState:
    """Returns the state before the first step of training `learner`.

    Its arrays are copies: the first step donates them, and the learner keeps its own.

    Args:
      learner: whose parameters and batch statistics it has.
      optimizer: updates them.
      terms: of the loss, which are summed.
      averages: whether it has room for averages, which the first step fills.
    """
    params, batch_stats = nnx.state(learner, nnx.Param, nnx.BatchStat)
    own = {"params": params, "batch_stats": batch_stats}

    def copied() -> dict[str, nnx.State]:
        # Through the host: copying on the device would compile a program for every shape.
        values: dict[str, nnx.State] = jax.tree.map(
            lambda array: jax.device_put(np.array(array)), own
        )
        return values

    values = copied()
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        **values,
        optimizer_state=jax.jit(optimizer.init)(values["params"]),
        sums=zero_sums(terms),
        average=copied() if averages else {},
    )


def _name(path: tuple[Any, ...]) -> str:
    """A leaf's path as "a/b/c"; the `.value` of an NNX variable is not part of it."""
    return jax.tree_util.keystr(path, simple=True, separator="/").removesuffix("/value")


def to_named_arrays(tree: Any) -> dict[str, np.ndarray]:
    """Flattens a pytree to {"a/b/c": array}, the form in which checkpoints store it."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {_name(path): np.asarray(leaf) for path, leaf in leaves}


def from_named_arrays(skeleton: Any, named: Mapping[str, np.ndarray]) -> Any:
    """Fills a pytree of `skeleton`'s structure with the arrays of :func:`to_named_arrays`.

    Raises:
      UserError: lists every array that is missing, unknown, or of another shape or dtype.
    """
    leaves, treedef = jax.tree_util.tree_flatten_with_path(skeleton)
    expected = {_name(path): leaf for path, leaf in leaves}
    problems = [f"missing {name}" for name in expected if name not in named]
    problems += [f"unknown {name}" for name in named if name not in expected]
    for name, leaf in expected.items():
        array = named.get(name, leaf)
        if (array.shape, array.dtype) != (leaf.shape, leaf.dtype):
            problems.append(f"{name} is {array.shape} {array.dtype}, not {leaf.shape} {leaf.dtype}")
    if problems:
        raise UserError(f"the training checkpoint does not fit this config: {'; '.join(problems)}")
    return jax.tree_util.tree_unflatten(treedef, [jax.device_put(named[name]) for name in expected])
