"""The names of the loss's terms, and the weights of those beside the paper's."""

from __future__ import annotations

from dataclasses import dataclass

# What readers call the terms, in the order of logs and figures.
TERM_NAMES = {
    "ce": "CE",
    "kd": "KD",
    "fa": "FA",
    "tckd": "TCKD",
    "nckd": "NCKD",
    "dist_inter": "DIST inter",
    "dist_intra": "DIST intra",
    "attention": "AT",
    "rkd_distance": "RKD distance",
    "rkd_angle": "RKD angle",
    "lesion_attention": "lesion AT",
    "right_reasons": "RRR",
    "counterfactual": "counterfactual",
}

LESION_TERMS = frozenset({"lesion_attention", "right_reasons", "counterfactual"})
"""Those that need outlines of lesions."""


@dataclass(frozen=True)
class TermWeights:
    """Weights of the terms beside the paper's, each at least 0; 0 leaves the term out.

    Attributes:
      tckd: target class in DKD, :func:`fakd_jax.distillation.decoupled.tckd_loss`.
      nckd: other classes in DKD, :func:`fakd_jax.distillation.decoupled.nckd_loss`.
      dist_inter: classes in DIST, :func:`fakd_jax.distillation.dist.dist_inter_loss`.
      dist_intra: images in DIST, :func:`fakd_jax.distillation.dist.dist_intra_loss`.
      attention: attention maps, :func:`fakd_jax.distillation.attention.attention_loss`.
      rkd_distance: distances, :func:`fakd_jax.distillation.relational.rkd_distance_loss`.
      rkd_angle: angles, :func:`fakd_jax.distillation.relational.rkd_angle_loss`.
      lesion_attention: attention off the lesion,
        :func:`fakd_jax.distillation.lesions.lesion_attention_loss`.
      right_reasons: evidence off the lesion,
        :func:`fakd_jax.distillation.lesions.right_reasons_loss`.
      counterfactual: confidence without the lesion,
        :func:`fakd_jax.distillation.lesions.counterfactual_loss`.
    """

    tckd: float = 0.0
    nckd: float = 0.0
    dist_inter: float = 0.0
    dist_intra: float = 0.0
    attention: float = 0.0
    rkd_distance: float = 0.0
    rkd_angle: float = 0.0
    lesion_attention: float = 0.0
    right_reasons: float = 0.0
    counterfactual: float = 0.0


NO_TERMS = TermWeights()
