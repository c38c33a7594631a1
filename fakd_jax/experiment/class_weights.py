"""Weights that make the classes count alike, however many images each has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fakd_jax.errors import UserError


def balanced_class_weights(labels: Sequence[int], class_names: Sequence[str]) -> tuple[float, ...]:
    """Returns n / (C · n_c) per class c, scikit-learn's "balanced" (King & Zeng 2001).

    Args:
      labels: of the n training images, indices in [0, C).
      class_names: of the C classes.

    Raises:
      UserError: a class has no image.
    """
    counts = np.bincount(labels, minlength=len(class_names))
    if absent := [name for name, count in zip(class_names, counts, strict=True) if not count]:
        raise UserError(
            f"no training image is of the class {', '.join(absent)}, which cannot be weighted; add "
            "some, or set config.cross_entropy.class_weights=none"
        )
    return tuple((len(labels) / (len(class_names) * counts)).tolist())
