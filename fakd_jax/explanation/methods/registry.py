"""The methods of explanation, by the name that `--method` takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.explanation.lime import LimeExplainer
from fakd_jax.explanation.result import Explainer

EXPLAINERS: dict[str, Callable[..., Explainer]] = {LimeExplainer.name: LimeExplainer}


def create_explainer(name: str, **options: Any) -> Explainer:
    """Builds the explainer called `name`.

    Args:
      name: a key of :data:`EXPLAINERS`.
      **options: the explainer's own settings, e.g. `num_samples` and `batch_size` of LIME.

    Raises:
      UserError: no such method (the known ones are listed), or a setting out of range.
    """
    if name not in EXPLAINERS:
        raise UserError(f"unknown method {name!r}; known: {', '.join(sorted(EXPLAINERS))}")
    return EXPLAINERS[name](**options)
