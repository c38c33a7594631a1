"""Feature-aligned knowledge distillation with explanations (FAKD-XAI) in JAX/Flax.

A ResNet-50 teacher, a MobileNetV3-Large student, their distillation on brain-tumour MRI
slices, and explanations of what the student decides. Research software: not for diagnosis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fakd_jax.version import __version__

if TYPE_CHECKING:
    from fakd_jax.inference.predictor import Predictor

__all__ = ["Predictor", "__version__"]


def __getattr__(name: str) -> Any:
    """Imports :class:`Predictor` when it is first asked for, so that rooms below stay light."""
    if name == "Predictor":
        from fakd_jax.inference.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
