"""The methods of explanation, by the name that `--method` takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.explanation.methods.controls import CentreControl, EdgesControl, RandomControl
from fakd_jax.explanation.methods.grad_cam import GradCam, GradCamPlusPlus
from fakd_jax.explanation.methods.integrated_gradients import IntegratedGradients
from fakd_jax.explanation.methods.kernel_shap import KernelShapExplainer
from fakd_jax.explanation.methods.lime import LimeExplainer
from fakd_jax.explanation.methods.lime_package import LimePackageExplainer
from fakd_jax.explanation.methods.occlusion import OcclusionExplainer
from fakd_jax.explanation.methods.rise import RiseExplainer
from fakd_jax.explanation.result import Explainer

METHODS: Mapping[str, type] = {
    explainer.name: explainer
    for explainer in (
        LimeExplainer,
        KernelShapExplainer,
        GradCam,
        GradCamPlusPlus,
        IntegratedGradients,
        OcclusionExplainer,
        RiseExplainer,
    )
}
"""The methods that are compared unless others are named."""

CONTROLS: Mapping[str, type] = {
    control.name: control for control in (RandomControl, CentreControl, EdgesControl)
}
"""What every method is held against: none of them looks at the network."""

EXPLAINERS: Mapping[str, type] = {
    **METHODS,
    LimePackageExplainer.name: LimePackageExplainer,
    **CONTROLS,
}


def create_explainer(name: str, **options: Any) -> Explainer:
    """Builds the explainer called `name`.

    Args:
      name: a key of :data:`EXPLAINERS`.
      **options: its own settings, e.g. `num_samples` of LIME; the others keep their defaults.

    Raises:
      UserError: no such method (the known ones are listed), or a setting out of range.
    """
    return _find(name)(**options)


def settings_of(name: str) -> list[str]:
    """The names of the settings that a method has.

    Raises:
      UserError: no such method.
    """
    return [field.name for field in fields(_find(name))]


def _find(name: str) -> type:
    if name not in EXPLAINERS:
        raise UserError(f"unknown method {name!r}; known: {', '.join(EXPLAINERS)}")
    return EXPLAINERS[name]
