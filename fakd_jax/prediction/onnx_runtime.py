"""The runtime `onnx`: a network that `fakd export` wrote, by ONNX Runtime and without JAX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from fakd_jax.data.pixels.window import DEFAULT_RULES, PixelRules
from fakd_jax.errors import DamagedError, UserError
from fakd_jax.inference.onnx import OnnxNetwork
from fakd_jax.prediction.runtimes import OpenedNetwork, find_onnx
from fakd_jax.reference.reference import Reference
from fakd_jax.runs.decision import METADATA_KEY, Decision
from fakd_jax.runs.files import ONNX_FILE, REFERENCE_FILE
from fakd_jax.runtime.sha256sums import SUMS_FILE, damaged_files


class OnnxRuntime:
    """See :class:`fakd_jax.prediction.runtimes.Runtime`."""

    pads = False

    def __init__(self, network: OnnxNetwork, batch_size: int) -> None:
        self._network = network
        self.batch_size = batch_size

    def logits(self, batch: UInt8[np.ndarray, "B S S 3"]) -> Float32[np.ndarray, "B C"]:
        """The raw outputs."""
        return self._network.predict_logits(batch)

    def features_and_logits(
        self, batch: UInt8[np.ndarray, "B S S 3"]
    ) -> tuple[Float32[np.ndarray, "B D"], Float32[np.ndarray, "B C"]]:
        """The input of the last linear layer, and the raw outputs."""
        return self._network.features_and_logits(batch)


def open_with_onnx(
    checkpoint: Path | str, *, batch_size: int, dtype: str | None, allow_untrained: bool
) -> OpenedNetwork:
    """See :func:`fakd_jax.prediction.runtimes.open_network`.

    Images are resized by Pillow, as in training, before the graph gets them. An export of a network
    with an untrained head says so itself: `allow_untrained` makes no difference.

    Raises:
      UserError: there is no exported network, or a precision is asked for.
      DamagedError: it is not as the `SHA256SUMS` beside it says.
    """
    file = find_onnx(checkpoint)
    if file is None:
        raise UserError(
            f"{checkpoint} has no exported network; write one with fakd export --format onnx and "
            "give that file, or give a bundle exported --with-onnx, unpacked"
        )
    if dtype is not None:
        raise UserError("the precision of an exported network is the file's; leave out --dtype")
    sums = file.parent / SUMS_FILE
    is_listed = sums.is_file() and ONNX_FILE.encode() in sums.read_bytes()
    if (
        file.name == ONNX_FILE
        and is_listed
        and (damaged := damaged_files(file.parent, only=file.name))
    ):
        raise DamagedError(
            f"the bundle {file.parent} is damaged: {', '.join(damaged)}; copy it again"
        )
    network = OnnxNetwork.open(file)
    metadata, preprocessing = network.metadata, network.metadata["preprocessing"]
    stored, digest = metadata.get(METADATA_KEY), metadata["weights_sha256"]
    pixels = preprocessing.get("pixels")
    reference = None
    if (file.parent / REFERENCE_FILE).is_file():
        found = Reference.load(file.parent)
        reference = found if found.weights_sha256 == digest else None
    return OpenedNetwork(
        runtime=OnnxRuntime(network, batch_size),
        class_names=network.class_names,
        image_size=network.image_size,
        rules=DEFAULT_RULES if pixels is None else PixelRules.from_dict(pixels),
        identity={
            "weights_sha256": digest,
            "class_names": list(network.class_names),
            "preprocessing": dict(preprocessing),
            "runtime": "onnx",
            "dtype": metadata["precision"],
        },
        decision=None if stored is None else Decision.from_dict(stored),
        reference=reference,
    )
