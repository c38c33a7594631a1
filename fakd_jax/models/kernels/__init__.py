"""Convolutions, pooling and batch normalisation in the form each platform runs fast.

Every function equals XLA's own operation in value and gradient; `fakd_jax.models.layers` wraps
them for the networks. May import jax alone.
"""

from fakd_jax.models.kernels.batch_norm import normalise_batch
from fakd_jax.models.kernels.compilation import compiler_options
from fakd_jax.models.kernels.dense import dense_conv, pointwise_conv
from fakd_jax.models.kernels.depthwise import depthwise_conv
from fakd_jax.models.kernels.max_pool import max_pool

__all__ = [
    "compiler_options",
    "dense_conv",
    "depthwise_conv",
    "max_pool",
    "normalise_batch",
    "pointwise_conv",
]
