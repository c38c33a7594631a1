"""What a format has to offer, and the formats there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fakd_jax.export import pytorch
from fakd_jax.inference.predictor import Predictor


@dataclass(frozen=True)
class Format:
    """How a network is written to a file of another kind, and verified.

    Attributes:
      suffix: of the file.
      write: writes the predictor's network to a path.
      verify: reads the file back, compares it with the predictor, and returns what was compared in
        one line; raises a `UserError` if they differ.
      usage: how other software reads the file, in one line; from the predictor and the file.
    """

    suffix: str
    write: Callable[[Predictor, Path], None]
    verify: Callable[[Predictor, Path], str]
    usage: Callable[[Predictor, Path], str]


FORMATS = {
    "torch": Format(pytorch.SUFFIX, pytorch.write, pytorch.verify, pytorch.usage),
}
