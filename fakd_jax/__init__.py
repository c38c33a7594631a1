"""Feature-aligned knowledge distillation with explanations (FAKD-XAI) in JAX/Flax.

A ResNet-50 teacher, a MobileNetV3-Large student, their distillation on brain-tumour MRI slices,
and explanations of the student's decisions. Research software: not for diagnosis.

The public interface; everything is imported when it is first used:

- `train(config, workdir, overrides)`: runs a config, as `fakd train` does.
- `Predictor.from_checkpoint(path)`: opens a checkpoint; `.predict_proba(images)` predicts.
- `explain(predictor, image, method=..., target=..., contrast=...)`: explains a prediction, also of
  any function; the result has `.attribution`, `.weights`, `.figure()`, `.overlay()`, `.reading()`.
- `predict(checkpoint, inputs, output)`: predicts files, as `fakd predict` does.
- `evaluate(checkpoint)`: measures a checkpoint on a split and writes the report.
- `create_model(name, num_classes=..., rngs=...)`: a network with random weights.
- `load_state_dict(model, state_dict)`: puts PyTorch weights into a network.
- `cross_entropy`, `kd_loss`, `feature_alignment_loss`, `fakd_loss`: the losses.
- `UserError`: raised, with one line that says what to do, for whatever the caller can mend.

Examples:
    >>> import fakd_jax
    >>> predictor = fakd_jax.Predictor.from_checkpoint("runs/fakd-phantom")
    >>> predictor.predict_proba(images).shape  # images: uint8 [3, H, W, 3]
    (3, 4)
    >>> explanation = fakd_jax.explain(predictor, images[0], method="occlusion")
    >>> explanation.figure().savefig("explanation.png")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fakd_jax.errors import UserError
from fakd_jax.version import __version__

if TYPE_CHECKING:
    from fakd_jax.distillation.losses import (
        cross_entropy,
        fakd_loss,
        feature_alignment_loss,
        kd_loss,
    )
    from fakd_jax.evaluation.run import evaluate_checkpoint as evaluate
    from fakd_jax.explanation.api import explain_image as explain
    from fakd_jax.inference.predictor import Predictor
    from fakd_jax.models.registry import create_model
    from fakd_jax.models.torch_weights.convert import load_state_dict
    from fakd_jax.prediction.run import predict_files as predict
    from fakd_jax.train import train

__all__ = [
    "Predictor",
    "UserError",
    "__version__",
    "create_model",
    "cross_entropy",
    "evaluate",
    "explain",
    "fakd_loss",
    "feature_alignment_loss",
    "kd_loss",
    "load_state_dict",
    "predict",
    "train",
]

_MODULES = {
    "Predictor": "fakd_jax.inference.predictor",
    "create_model": "fakd_jax.models.registry",
    "cross_entropy": "fakd_jax.distillation.losses",
    "fakd_loss": "fakd_jax.distillation.losses",
    "feature_alignment_loss": "fakd_jax.distillation.losses",
    "kd_loss": "fakd_jax.distillation.losses",
    "load_state_dict": "fakd_jax.models.torch_weights.convert",
}
_COMMANDS = ("evaluate", "explain", "predict", "train")  # callable modules: see fakd_jax.cli.runner


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used, so that `import fakd_jax` stays light."""
    if name in _COMMANDS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
