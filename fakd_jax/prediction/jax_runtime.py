"""The runtime `jax`: a checkpoint as :class:`fakd_jax.Predictor` computes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

from fakd_jax.inference.adapter import weights_sha256
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models.checkpoint import load_metadata, resolve_checkpoint
from fakd_jax.prediction.runtimes import OpenedNetwork
from fakd_jax.reference.find import find_reference
from fakd_jax.runs.decision import find_decision
from fakd_jax.runs.workdir import pixel_rules, trained_dtype


class JaxRuntime:
    """See :class:`fakd_jax.prediction.runtimes.Runtime`."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    pads = True  # another number of images would be compiled anew

    @property
    def batch_size(self) -> int:
        """Images per batch."""
        return self._predictor.batch_size

    def logits(self, batch: UInt8[np.ndarray, "B S S 3"]) -> Float32[np.ndarray, "B C"]:
        """The raw outputs."""
        return self._predictor.logits_of_batch(batch)

    def features_and_logits(
        self, batch: UInt8[np.ndarray, "B S S 3"]
    ) -> tuple[Float32[np.ndarray, "B D"], Float32[np.ndarray, "B C"]]:
        """The input of the last linear layer, and the raw outputs."""
        return self._predictor.features_and_logits(batch)


def open_with_jax(
    checkpoint: Path | str, *, batch_size: int, dtype: str | None, allow_untrained: bool
) -> OpenedNetwork:
    """See :func:`fakd_jax.prediction.runtimes.open_network`."""
    folder = resolve_checkpoint(checkpoint)
    predictor = Predictor.from_checkpoint(
        folder,
        batch_size=batch_size,
        dtype=dtype or trained_dtype(load_metadata(folder)),
        allow_untrained=allow_untrained,
    )
    digest = weights_sha256(predictor)
    return OpenedNetwork(
        runtime=JaxRuntime(predictor),
        class_names=predictor.class_names,
        image_size=predictor.preprocessing.image_size,
        rules=pixel_rules(predictor.metadata),
        identity={
            "weights_sha256": digest,
            "class_names": list(predictor.class_names),
            "preprocessing": predictor.preprocessing.to_dict(),
            "runtime": "jax",
            "dtype": predictor.dtype,
        },
        decision=find_decision(predictor.checkpoint, predictor.metadata, digest),
        reference=find_reference(predictor.checkpoint, predictor.metadata, digest),
    )
