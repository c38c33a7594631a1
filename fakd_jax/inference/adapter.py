"""A checkpoint's network as explainers query it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8

from fakd_jax.inference.gradients import LogitGradients
from fakd_jax.inference.masked import MaskedInference
from fakd_jax.inference.network import Gradients, Network
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models.reinitialisation import reinitialise
from fakd_jax.models.state import model_state
from fakd_jax.runtime.hashing import sha256, sha256_of_tree


def network_of(predictor: Predictor, workdir: Path | None = None) -> Network:
    """The network with its provenance.

    Args:
      predictor: the opened checkpoint.
      workdir: of its run; the checkpoint's path is recorded relative to it, so that a moved
        workdir gives the same bytes.
    """
    checkpoint, metadata = predictor.checkpoint, predictor.metadata
    provenance = {
        "checkpoint": str(checkpoint.relative_to(workdir) if workdir else checkpoint),
        "weights_sha256": weights_sha256(predictor),
        "arch": predictor.arch,
        "head": metadata.get("head"),
        "config": (metadata.get("config") or {}).get("name"),
        "trained": metadata.get("source"),
        "trained_on": metadata.get("data"),
        "preprocessing": predictor.preprocessing.to_dict(),
        "package_version": metadata.get("package_version"),
        "batch_size": predictor.batch_size,
        "dtype": predictor.dtype,
        "device": jax.default_backend(),
    }
    masked, gradients = MaskedInference(predictor), LogitGradients(predictor)

    def reinitialised(seed: int, images: UInt8[np.ndarray, "N S S 3"]) -> Network:
        """The network with random weights, which shares the compiled programs."""
        inputs = predictor.preprocessing.inputs(images)
        model = reinitialise(predictor.metadata, seed, inputs, dtype=predictor.dtype)
        control = predictor.with_network(model)
        origin = {
            "seed": seed,
            "images_sha256": sha256(images.tobytes()),
            "instead_of": provenance["weights_sha256"],
        }
        return _network(
            control,
            masked.with_weights_of(control),
            gradients.with_weights_of(control),
            {**provenance, "weights_sha256": weights_sha256(control), "reinitialised": origin},
        )

    network = _network(predictor, masked, gradients, provenance)
    return replace(network, reinitialise=reinitialised)


def weights_sha256(predictor: Predictor) -> str:
    """The digest of all weights and statistics: identifies a network beyond its path."""
    return sha256_of_tree(model_state(predictor.network))


def _network(
    predictor: Predictor,
    masked: MaskedInference,
    gradients: LogitGradients,
    provenance: Mapping[str, Any],
) -> Network:
    return Network(
        predictor.predict_proba,
        masked.prepare,
        masked.predict_blended,
        batch_size=predictor.batch_size,
        class_names=predictor.class_names,
        image_size=predictor.preprocessing.image_size,
        provenance=provenance,
        gradients=Gradients(
            gradients.wrt_pixels, gradients.wrt_features, gradients.layers, gradients.logits
        ),
    )
