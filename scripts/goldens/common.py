"""Weights and images computed by rule, so that goldens need not store them: NumPy only.

`tests/models/test_network_goldens.py` draws the same numbers without PyTorch.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np

BATCH, IMAGE_SIZE, NUM_CLASSES = 2, 64, 10
LABELS = np.array([3, 7])
SAMPLES = 64


def draw(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal float32 values that depend on the key; RandomState's stream is frozen."""
    return np.random.RandomState(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)


def weights(key: str, shape: tuple[int, ...]) -> np.ndarray:
    """The value of one entry of a state dict, in PyTorch's layout.

    Args:
        key: PyTorch's key.
        shape: PyTorch's shape.

    Returns:
        Float32 of that shape (int64 for the counter), scaled so that activations neither vanish
        nor explode on their way through the network.
    """
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    normal = draw(key, shape)
    if key.endswith("running_var") or (key.endswith("weight") and len(shape) == 1):
        return (1 + 0.2 * np.tanh(normal)).astype(np.float32)
    if len(shape) == 1:
        return (0.1 * normal).astype(np.float32)
    return (normal * np.float32(math.sqrt(2 / math.prod(shape[1:])))).astype(np.float32)


def state_dict(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """All entries of a state dict, given their shapes."""
    return {key: weights(key, shape) for key, shape in shapes.items()}


def images() -> np.ndarray:
    """Float32 images [B, H, W, 3]."""
    return draw("images", (BATCH, IMAGE_SIZE, IMAGE_SIZE, 3))


def summary(values: np.ndarray) -> np.ndarray:
    """Mean, standard deviation and up to `SAMPLES` evenly strided values of an array.

    Args:
        values: Any array; feature maps channels last.

    Returns:
        A float64 vector.
    """
    flat = np.asarray(values, np.float64).reshape(-1)
    # An odd stride visits every channel of maps with an even number of channels.
    stride = max(1, flat.size // SAMPLES) | 1
    return np.concatenate([[flat.mean(), flat.std()], flat[::stride][:SAMPLES]])
