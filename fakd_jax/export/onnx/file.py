"""The ONNX file: written, read back by ONNX Runtime, and compared."""

from __future__ import annotations

from pathlib import Path

from fakd_jax.errors import UserError
from fakd_jax.export.onnx.network import build_model
from fakd_jax.export.request import Request
from fakd_jax.export.verification import verify_logits
from fakd_jax.inference.onnx import SUFFIX, OnnxNetwork
from fakd_jax.runtime.extras import import_extra

__all__ = ["PRECISIONS", "SUFFIX", "usage", "verify", "write"]

PRECISIONS = ("float32", "float16", "int8")


def write(request: Request, path: Path) -> None:
    """Writes the network and its preprocessing.

    Raises:
      UserError: a library is missing, the network has an operation that has no translation, or
        there are no training images to calibrate int8 on.
    """
    onnx = import_extra("onnx", "onnx", "exporting to ONNX")
    import_extra("onnxruntime", "onnx", "verifying an export to ONNX")
    training = request.images.training
    if request.precision == "int8" and training is None:
        raise UserError(
            "int8 is calibrated on training images, and there are none at hand; give --data, or "
            "export with --precision float16"
        )
    calibration = None if training is None else training.pixels
    model = build_model(request.predictor, request.precision, calibration)
    onnx.save(model, path)


def verify(request: Request, path: Path) -> str:
    """Opens the file with ONNX Runtime and compares its logits with the checkpoint's.

    Raises:
      UserError: they differ by more than :data:`fakd_jax.export.verification.TOLERANCES` allows.
    """
    network = OnnxNetwork.open(path)
    images = request.images.test
    return verify_logits(request.predictor, network.predict_logits, images, request.precision)


def usage(request: Request, path: Path) -> str:
    """How ONNX Runtime runs the file."""
    del request
    return (
        f"with ONNX Runtime: session = onnxruntime.InferenceSession({path.name!r}); "
        "logits, features = session.run(None, {'images': images})  # uint8 [N, H, W, 3]"
    )
