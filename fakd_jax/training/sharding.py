"""Data parallelism: one mesh over the job's devices; batches are split, the rest is replicated."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from fakd_jax.errors import UserError
from fakd_jax.runtime.distributed import mesh_devices


class Placement:
    """Splits batches evenly over the devices of all processes and replicates everything else.

    Batch statistics, losses and gradients are those of the whole batch: the result of a jitted
    function does not depend on where its arrays are.

    Attributes:
      num_devices: of all processes.
      split: the sharding of batches, along their first axis.
      replicated: the sharding of everything else.
    """

    def __init__(self) -> None:
        devices = mesh_devices()
        # Devices in the order of their processes: each process holds consecutive rows of a batch.
        mesh = Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,))
        self.num_devices = len(devices)
        self.split = NamedSharding(mesh, PartitionSpec("data"))
        self.replicated = NamedSharding(mesh, PartitionSpec())

    def require_divisible(self, batch_size: int, *, name: str) -> None:
        """Checks that a batch can be split evenly.

        Raises:
          UserError: it cannot; `name` is the setting to change.
        """
        if batch_size % self.num_devices:
            raise UserError(
                f"{name}={batch_size} cannot be split over {self.num_devices} devices; "
                "choose a multiple"
            )

    def rows(self, batch_size: int) -> slice:
        """The rows of every batch that this process reads and places."""
        return process_rows(batch_size, jax.process_index(), jax.process_count())

    def batch(self, rows: Any) -> Any:
        """Places a batch, split along its first axis.

        Args:
          rows: pytree of NumPy arrays, this process's :meth:`rows` of the batch.
        """
        if jax.process_count() == 1:
            return jax.device_put(rows, self.split)
        return jax.tree.map(
            lambda array: jax.make_array_from_process_local_data(self.split, array), rows
        )

    def local_rows(self, batch: Any) -> Any:
        """The inverse of :meth:`batch`, for arrays that are split along their first axis."""
        return jax.tree.map(_local_rows, batch)

    def copy(self, tree: Any) -> Any:
        """Places a pytree, the same on every process, whole on every device."""
        return jax.device_put(tree, self.replicated)

    def key(self, seed: int) -> jax.Array:
        """A random key on every device."""
        data = self.copy(np.asarray(jax.random.key_data(jax.random.key(seed))))
        return jax.random.wrap_key_data(data)


def process_rows(batch_size: int, process: int, num_processes: int) -> slice:
    """The consecutive rows of a batch that belong to one of several processes.

    Args:
      batch_size: a multiple of `num_processes`.
      process: its number, from 0.
      num_processes: in the job.
    """
    count = batch_size // num_processes
    return slice(process * count, (process + 1) * count)


def _local_rows(array: jax.Array) -> np.ndarray:
    if array.is_fully_addressable:
        return np.asarray(array)
    shards = sorted(array.addressable_shards, key=lambda shard: shard.index[0].start)
    return np.concatenate([np.asarray(shard.data) for shard in shards])
