"""A small reference by hand."""

from __future__ import annotations

import numpy as np

from fakd_jax.data.appearance import Appearance
from fakd_jax.reference.foreign import FeatureSubspace
from fakd_jax.reference.quality import QualityLimits
from fakd_jax.reference.reference import Reference

SHA = "ab" * 32


def a_reference(weights_sha256: str = SHA, threshold: float = 0.5) -> Reference:
    """Of features of eight dimensions; any image but a much darker one is good."""
    subspace = FeatureSubspace(np.zeros(8, np.float32), np.eye(8, 2, dtype=np.float32))
    limits = QualityLimits(16, Appearance(20.0, 200.0, 0.0), 0.0, 9.0, head_expected=False)
    return Reference(weights_sha256, subspace, threshold, limits, {"seed": 0})
