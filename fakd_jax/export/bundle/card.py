"""The model card: `README.md` in Hugging Face's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import ChainableUndefined, Environment

CARD_FILE = "README.md"
UNKNOWN = "–"


def render_card(metadata: Mapping[str, Any], *, with_onnx: bool) -> str:
    """Writes a bundle's metadata for people.

    Args:
      metadata: see :func:`fakd_jax.export.bundle.metadata.bundle_metadata`.
      with_onnx: whether the bundle has an ONNX file.
    """
    environment = Environment(
        undefined=ChainableUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    environment.filters |= {"share": _share, "interval": _interval}
    text = files("fakd_jax.export.bundle") / "templates" / "model_card.md.j2"
    template = environment.from_string(text.read_text(encoding="utf-8"))
    return template.render(**metadata, with_onnx=with_onnx).rstrip("\n") + "\n"


def _share(value: float | None) -> str:
    return f"{value:.1%}" if isinstance(value, float) else UNKNOWN


def _interval(ends: Sequence[float] | None) -> str:
    return f"{ends[0]:.1%} to {ends[1]:.1%}" if isinstance(ends, Sequence) else UNKNOWN
