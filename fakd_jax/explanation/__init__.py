"""Why the network decided so: scenes, methods, how far to trust them, benchmark and reports.

May import inference, models, data, metrics, audit, runs and reporting; never training or
evaluation. A new method needs a class like :class:`~.methods.lime.LimeExplainer` and a line in
:mod:`.methods.registry`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fakd_jax.explanation.api import ImageExplanation, explain_image

__all__ = ["ImageExplanation", "explain_image"]


def __getattr__(name: str) -> Any:
    """Imports the public names when they are first used, so that submodules stay light."""
    if name in __all__:
        from fakd_jax.explanation import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
