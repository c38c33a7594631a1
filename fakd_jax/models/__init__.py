"""Networks: layers, four families, a registry of names, and weights from PyTorch."""

from fakd_jax.models.features import (
    feature_gradient,
    feature_shapes,
    forward,
    forward_and_gradient,
)
from fakd_jax.models.registry import available_models, create_model, register

__all__ = [
    "available_models",
    "create_model",
    "feature_gradient",
    "feature_shapes",
    "forward",
    "forward_and_gradient",
    "register",
]
