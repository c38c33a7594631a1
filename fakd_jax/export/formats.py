"""What a format has to offer, and the formats there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fakd_jax.export import litert, pytorch, stablehlo
from fakd_jax.export.bundle import bundle
from fakd_jax.export.onnx import file as onnx_file
from fakd_jax.export.request import Request


@dataclass(frozen=True)
class Format:
    """How a network is written to a file of another kind, and verified.

    Attributes:
      suffixes: of the file; "" for a folder.
      write: writes the network to a path.
      verify: reads what was written back, compares it with the predictor, and returns what was
        compared; raises a `UserError` if they differ.
      usage: how other software reads it, in one line; from the request and the path.
      precisions: that the network can be written in.
      uses_images: whether real images are used to verify it.
    """

    suffixes: tuple[str, ...]
    write: Callable[[Request, Path], None]
    verify: Callable[[Request, Path], str]
    usage: Callable[[Request, Path], str]
    precisions: tuple[str, ...] = ("float32",)
    uses_images: bool = True


FORMATS = {
    "torch": Format(
        (pytorch.SUFFIX,), pytorch.write, pytorch.verify, pytorch.usage, uses_images=False
    ),
    "onnx": Format(
        (onnx_file.SUFFIX,),
        onnx_file.write,
        onnx_file.verify,
        onnx_file.usage,
        onnx_file.PRECISIONS,
    ),
    "stablehlo": Format((stablehlo.SUFFIX,), stablehlo.write, stablehlo.verify, stablehlo.usage),
    "litert": Format((litert.SUFFIX,), litert.write, litert.verify, litert.usage),
    "bundle": Format(bundle.SUFFIXES, bundle.write, bundle.verify, bundle.usage),
}
