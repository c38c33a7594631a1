"""An exported ONNX file as a predictor, with ONNX Runtime and without JAX.

Nothing here imports JAX, whose import alone takes longer than a cold prediction may.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from fakd_jax.errors import DamagedError, UserError
from fakd_jax.runtime.extras import import_extra

SUFFIX = ".onnx"
_NEEDED = ("class_names", "num_classes", "preprocessing", "weights_sha256", "precision")


def session_options(threads: int | None = None) -> Any:
    """ONNX Runtime's options: so many threads, None for one per CPU; errors alone are logged."""
    options = import_extra("onnxruntime", "onnx", "predicting with ONNX Runtime").SessionOptions()
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    options.log_severity_level = 3  # errors
    return options


@dataclass(frozen=True)
class OnnxNetwork:
    """A network that `fakd export --format onnx` wrote.

    Attributes:
      path: of the file.
      metadata: what :func:`fakd_jax.export.header.describe_network` returned for the checkpoint,
        and `precision`. `decision` has the temperature and the reject threshold, or is None.
      session: ONNX Runtime's.
    """

    path: Path
    metadata: Mapping[str, Any]
    session: Any

    @classmethod
    def open(cls, path: Path | str, *, threads: int | None = None) -> OnnxNetwork:
        """Opens an exported file.

        Args:
          path: of the file.
          threads: that compute one batch; None for one per CPU that this process may use.

        Raises:
          UserError: ONNX Runtime is not installed, or there is no such file.
          DamagedError: it is damaged, or no export of this package.
        """
        runtime = import_extra("onnxruntime", "onnx", "predicting with ONNX Runtime")
        path = Path(path).expanduser().absolute()
        if not path.is_file():
            raise UserError(f"there is no file {path}; write one with fakd export --format onnx")
        options = session_options(threads)
        try:
            session = runtime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
            stored = session.get_modelmeta().custom_metadata_map
            metadata = {key: json.loads(stored[key]) for key in _NEEDED}
        except Exception as error:  # ONNX Runtime's are of many types
            reason = " ".join(str(error).split())[:200]
            raise DamagedError(
                f"{path} is damaged, or was not written by fakd export ({reason}); export it again"
            ) from error
        known = stored.keys() - {"written_by"}
        metadata |= {key: json.loads(stored[key]) for key in known}
        return cls(path, metadata, session)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the outputs, in order."""
        return tuple(self.metadata["class_names"])

    @property
    def image_size(self) -> int:
        """Side of the square that images are resized to, inside the graph."""
        return int(self.metadata["preprocessing"]["image_size"])

    def features_and_logits(
        self, images: UInt8[np.ndarray, "B H W 3"]
    ) -> tuple[Float32[np.ndarray, "B D"], Float32[np.ndarray, "B C"]]:
        """The input of the last layer, and the logits, of RGB images of any size.

        ONNX Runtime resizes to within one grey level of Pillow; images of the network's input size
        are not resized.
        """
        features, logits = self.session.run(["features", "logits"], {"images": images})
        return features, logits

    def predict_logits(self, images: UInt8[np.ndarray, "B H W 3"]) -> Float32[np.ndarray, "B C"]:
        """The raw outputs for RGB images of any size."""
        (logits,) = self.session.run(["logits"], {"images": images})
        return logits
