"""Data parallelism: one mesh over the local devices; batches are split, the rest is replicated."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from fakd_jax.errors import UserError


class Placement:
    """Splits batches evenly over all local devices and replicates everything else.

    Batch statistics, losses and gradients are those of the whole batch: the result of a jitted
    function does not depend on where its arrays are.
    """

    def __init__(self) -> None:
        devices = jax.local_devices()
        mesh = jax.make_mesh((len(devices),), ("data",), (AxisType.Auto,), devices=devices)
        self.num_devices = len(devices)
        self._split = NamedSharding(mesh, PartitionSpec("data"))
        self._replicated = NamedSharding(mesh, PartitionSpec())

    def require_divisible(self, batch_size: int, *, name: str) -> None:
        """Checks that a batch can be split evenly.

        Raises:
          UserError: it cannot; `name` says which setting to change.
        """
        if batch_size % self.num_devices:
            raise UserError(
                f"{name}={batch_size} cannot be split over {self.num_devices} devices; "
                "choose a multiple"
            )

    def batch(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        """Places a batch, split along its first axis."""
        return jax.device_put(batch, self._split)

    def copy(self, tree: Any) -> Any:
        """Places a pytree whole on every device."""
        return jax.device_put(tree, self._replicated)
