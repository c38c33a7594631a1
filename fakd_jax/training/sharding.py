"""Data parallelism: one mesh over the local devices, batches parted, everything else copied."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec


class Placement:
    """Where arrays go: batches in equal parts over all local devices, everything else copied.

    One device is the case of one part. Batch statistics, losses and gradients are of the whole
    batch, because a jitted function means the same however its arrays are placed.
    """

    def __init__(self) -> None:
        devices = jax.local_devices()
        mesh = jax.make_mesh((len(devices),), ("data",), (AxisType.Auto,), devices=devices)
        self.num_devices = len(devices)
        self._parted = NamedSharding(mesh, PartitionSpec("data"))
        self._copied = NamedSharding(mesh, PartitionSpec())

    def batch(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        """Places a batch of NumPy arrays, divided along their first axis."""
        return jax.device_put(batch, self._parted)

    def copy(self, tree: Any) -> Any:
        """Places a pytree whole on every device."""
        return jax.device_put(tree, self._copied)
