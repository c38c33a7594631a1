"""What is kept of the training images: `reference.npz` and `reference.json`."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from fakd_jax.errors import DamagedError
from fakd_jax.reference.foreign import FeatureSubspace
from fakd_jax.reference.quality import QualityLimits
from fakd_jax.runs.files import REFERENCE_ARRAYS_FILE, REFERENCE_FILE
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.runtime.hashing import sha256_of_typed_array
from fakd_jax.runtime.json_text import parse_json, require_shape

FORMAT_VERSION = 1
_ARRAYS = ("mean", "directions")
_SHAPE = {
    "format_version": int,
    "weights_sha256": str,
    "foreign": {"threshold": float},
    "quality": {
        "image_size": int,
        "appearance": {"darkest": float, "brightest": float, "flattest": float},
        "least_detail": float,
        "most_noise": float,
        "head_expected": bool,
    },
    "array_sha256": {str: str},
    "fitted": {},
}
# What NumPy raises for files that are no archives of arrays or not whole.
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Reference:
    """What the training images look like to a network.

    Attributes:
      weights_sha256: of the network, see :func:`fakd_jax.inference.adapter.weights_sha256`.
      subspace: near which the features of training images lie.
      foreign_threshold: an image is foreign if its score is above it.
      limits: of image quality.
      fitted: on which images and how, as JSON-able values.
    """

    weights_sha256: str
    subspace: FeatureSubspace
    foreign_threshold: float
    limits: QualityLimits
    fitted: Mapping[str, Any] = field(default_factory=dict)

    def foreign_scores(self, features: Float32[np.ndarray, "N D"]) -> Float32[np.ndarray, " N"]:
        """How foreign images are; higher is more foreign.

        Args:
          features: see :meth:`fakd_jax.inference.predictor.Predictor.features_and_logits`.
        """
        return self.subspace.scores(features)

    def is_foreign(self, scores: Float32[np.ndarray, " N"]) -> Bool[np.ndarray, " N"]:
        """Which scores are above the threshold."""
        return scores > self.foreign_threshold

    def quality(self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]]) -> list[str]:
        """What is amiss with each image, in plain words joined by "; "; "" if nothing is.

        Args:
          images: RGB, each of any size.
        """
        return ["; ".join(self.limits.reasons(image)) for image in images]

    def save(self, folder: Path) -> None:
        """Writes `reference.npz` and `reference.json`; equal references give equal bytes.

        Raises:
          UserError: a file cannot be written.
        """
        arrays = {name: getattr(self.subspace, name) for name in _ARRAYS}
        record = {
            "format_version": FORMAT_VERSION,
            "weights_sha256": self.weights_sha256,
            "foreign": {"threshold": self.foreign_threshold},
            "quality": self.limits.to_dict(),
            "fitted": dict(self.fitted),
            "array_sha256": {name: sha256_of_typed_array(array) for name, array in arrays.items()},
        }
        content = io.BytesIO()
        np.savez(content, **arrays)
        write_whole(folder / REFERENCE_ARRAYS_FILE, content.getvalue())
        text = json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False)
        write_whole(folder / REFERENCE_FILE, text + "\n")

    @classmethod
    def load(cls, folder: Path) -> Reference:
        """Reads the files that :meth:`save` wrote.

        Raises:
          DamagedError: one is missing, damaged, or not of the other, or of another format.
        """
        try:
            record = parse_json((folder / REFERENCE_FILE).read_text(encoding="utf-8"))
            require_shape(record, _SHAPE)
            if record["format_version"] != FORMAT_VERSION:
                raise ValueError(f"its format is {record['format_version']}, not {FORMAT_VERSION}")
            with np.load(folder / REFERENCE_ARRAYS_FILE) as stored:
                arrays = {name: stored[name] for name in _ARRAYS}
            for name, array in arrays.items():
                if sha256_of_typed_array(array) != record["array_sha256"].get(name):
                    raise ValueError(f"{REFERENCE_ARRAYS_FILE} has another {name}")
            return cls(
                record["weights_sha256"],
                FeatureSubspace(**arrays),
                record["foreign"]["threshold"],
                QualityLimits.from_dict(record["quality"]),
                record["fitted"],
            )
        except _UNREADABLE as error:
            raise DamagedError(
                f"{folder / REFERENCE_FILE} and {REFERENCE_ARRAYS_FILE} are damaged ({error}); "
                "evaluate the checkpoint again, or delete both"
            ) from error
