"""The methods of explanation, by the name that `--method` takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.explanation.methods.controls import CentreControl, EdgesControl, RandomControl
from fakd_jax.explanation.methods.grad_cam import GradCam, GradCamPlusPlus, HiResCam
from fakd_jax.explanation.methods.integrated_gradients import IntegratedGradients
from fakd_jax.explanation.methods.kernel_shap import KernelShapExplainer
from fakd_jax.explanation.methods.lime import LimeExplainer
from fakd_jax.explanation.methods.lime_package import LimePackageExplainer
from fakd_jax.explanation.methods.occlusion import OcclusionExplainer
from fakd_jax.explanation.methods.rise import RiseExplainer
from fakd_jax.explanation.result import Explainer

METHODS: Mapping[str, Any] = {
    explainer.name: explainer
    for explainer in (
        LimeExplainer,
        KernelShapExplainer,
        GradCam,
        GradCamPlusPlus,
        HiResCam,
        IntegratedGradients,
        OcclusionExplainer,
        RiseExplainer,
    )
}
"""The methods that a benchmark compares by default."""

CONTROLS: Mapping[str, Any] = {
    control.name: control for control in (RandomControl, CentreControl, EdgesControl)
}
"""What methods are compared with; independent of the network."""

EXPLAINERS: Mapping[str, Any] = {
    **METHODS,
    LimePackageExplainer.name: LimePackageExplainer,
    **CONTROLS,
}


def create_explainer(name: str, **options: Any) -> Explainer:
    """Creates an explainer.

    Args:
      name: a key of :data:`EXPLAINERS`.
      **options: its settings, e.g. `num_samples` of LIME.

    Raises:
      UserError: no such method or setting (the known ones are listed), or a value out of range.
    """
    known = settings_of(name)
    if unknown := sorted(set(options) - set(known)):
        raise UserError(
            f"{name} has no setting {', '.join(unknown)}; it has {', '.join(known) or 'none'}"
        )
    explainer: Explainer = EXPLAINERS[name](**options)
    return explainer


def settings_of(name: str) -> list[str]:
    """The names of a method's settings.

    Raises:
      UserError: no such method.
    """
    if name not in EXPLAINERS:
        raise UserError(f"unknown method {name!r}; known: {', '.join(EXPLAINERS)}")
    return [field.name for field in fields(EXPLAINERS[name])]
