"""What goes with a network into the formats of other software."""

from __future__ import annotations

import json
from typing import Any

from fakd_jax.inference.adapter import weights_sha256
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models.registry import described
from fakd_jax.runs.decision import METADATA_KEY, find_decision
from fakd_jax.version import __version__


def describe_network(predictor: Predictor) -> dict[str, Any]:
    """The classes, the preprocessing and what else the use of a network requires, JSON-able.

    Raises:
      UserError: what is known about its use is damaged.
    """
    digest = weights_sha256(predictor)
    decision = find_decision(predictor.checkpoint, predictor.metadata, digest)
    return {
        **described(predictor.arch),
        "num_classes": predictor.num_classes,
        "class_names": list(predictor.class_names),
        "preprocessing": predictor.preprocessing.to_dict(),
        "negative_class": predictor.metadata.get("negative_class"),
        "overrides": predictor.metadata.get("overrides") or {},
        METADATA_KEY: decision and decision.to_dict(),
        "weights_sha256": digest,
    }


def as_texts(facts: dict[str, Any]) -> dict[str, str]:
    """Facts for a format that stores texts by key: each as JSON, and who wrote them."""
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in facts.items()}
    return {"written_by": f"fakd_jax {__version__}", **texts}
