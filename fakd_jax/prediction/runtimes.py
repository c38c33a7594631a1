"""What computes a network, and everything beside it that a prediction needs."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from jaxtyping import Float32, UInt8

from fakd_jax.data.pixels.window import PixelRules
from fakd_jax.errors import UserError
from fakd_jax.runs.files import ONNX_FILE
from fakd_jax.runtime.hub import local_path

if TYPE_CHECKING:
    from fakd_jax.runs.decision import Decision

RUNTIMES = {
    "jax": "fakd_jax.prediction.jax_runtime:open_with_jax",
    "onnx": "fakd_jax.prediction.onnx_runtime:open_with_onnx",
}
"""Name → function, which is imported when it is called, to open a checkpoint with: arguments and
result are those of :func:`open_network`."""


AUTO = "auto"


class Runtime(Protocol):
    """Computes a network on batches of at most `batch_size` images of its input size.

    A row of the result depends on its own image alone.

    Attributes:
      pads: whether every batch must have exactly `batch_size` images.
    """

    pads: bool

    @property
    def batch_size(self) -> int:
        """B."""

    def logits(self, batch: UInt8[np.ndarray, "B S S 3"]) -> Float32[np.ndarray, "B C"]:
        """The raw outputs."""

    def features_and_logits(
        self, batch: UInt8[np.ndarray, "B S S 3"]
    ) -> tuple[Float32[np.ndarray, "B D"], Float32[np.ndarray, "B C"]]:
        """The input of the last linear layer, and the raw outputs."""


class Reference(Protocol):
    """What the training images look like: to find foreign and poor images."""

    @property
    def foreign_threshold(self) -> float:
        """Scores above it are those of foreign images."""

    def foreign_scores(self, features: Float32[np.ndarray, "N D"]) -> Float32[np.ndarray, " N"]:
        """Of each image; higher is more foreign."""

    def quality(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> list[str]:
        """What is wrong with pictures of any size, "" if nothing is."""


@dataclass(frozen=True)
class OpenedNetwork:
    """A network, ready to predict.

    Attributes:
      runtime: computes it.
      class_names: of its outputs, in order.
      image_size: the side of its input in pixels.
      rules: by which its training images became pictures of 8 bits.
      identity: what its outputs depend on, as JSON-able values.
      decision: temperature and reject threshold; None if neither is known.
      reference: what its training images look like; None if it is not known.
    """

    runtime: Runtime
    class_names: Sequence[str]
    image_size: int
    rules: PixelRules
    identity: Mapping[str, Any]
    decision: Decision | None = None
    reference: Reference | None = None

    @property
    def foreign_threshold(self) -> float | None:
        """The reference's; None if it is not known."""
        return None if self.reference is None else self.reference.foreign_threshold


def find_onnx(checkpoint: Path | str) -> Path | None:
    """The exported network that a path names: the file itself, or that of a bundle's folder.

    Raises:
      UserError: see :func:`fakd_jax.runtime.hub.pull_bundle`.
    """
    path = local_path(checkpoint).expanduser().absolute()
    if path.suffix == ".onnx":
        return path
    return path / ONNX_FILE if (path / ONNX_FILE).is_file() else None


def choose_runtime(checkpoint: Path | str, runtime: str) -> str:
    """The runtime that `auto` stands for: ONNX Runtime where there is an exported network.

    Raises:
      UserError: an unknown runtime.
    """
    if runtime == AUTO:
        return "jax" if find_onnx(checkpoint) is None else "onnx"
    if runtime not in RUNTIMES:
        known = ", ".join((AUTO, *RUNTIMES))
        raise UserError(f"unknown runtime {runtime!r}; choose one of {known}")
    return runtime


def open_network(
    checkpoint: Path | str,
    *,
    runtime: str = AUTO,
    batch_size: int = 32,
    dtype: str | None = None,
    allow_untrained: bool = False,
) -> OpenedNetwork:
    """Opens a checkpoint for prediction.

    Args:
      checkpoint: a workdir (its best student), any checkpoint in it, a bundle, or a `.onnx` file.
      runtime: one of :data:`RUNTIMES`, or `auto`, see :func:`choose_runtime`.
      batch_size: images computed at once.
      dtype: 'float32', 'bfloat16' or 'auto'; None for the training's.
      allow_untrained: accept a network whose head was never trained.

    Raises:
      UserError: an unknown runtime, no such checkpoint, or one that cannot predict.
    """
    chosen = RUNTIMES[choose_runtime(checkpoint, runtime)]
    open_with: Callable[..., OpenedNetwork] = pkgutil.resolve_name(chosen)
    return open_with(
        checkpoint, batch_size=batch_size, dtype=dtype, allow_untrained=allow_untrained
    )
