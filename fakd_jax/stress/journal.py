"""Logits by condition on disk: a stopped test goes on where it stopped."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32

from fakd_jax.inference.adapter import weights_sha256
from fakd_jax.inference.predictor import Predictor
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.runtime.hashing import sha256_of_json
from fakd_jax.runtime.source_code import versions_and_code

COMPUTING = (
    "data/intensity.py",
    "data/pixels",
    "data/preprocessing.py",
    "data/resizing.py",
    "inference",
    "models",
    "shifts",
    "stress/shifting.py",
)
"""Modules and packages that logits depend on."""

LIBRARIES = ("flax", "jax", "jaxlib", "numpy", "pillow")
_DIGITS = 12
# What NumPy and zipfile raise for files that are missing or changed.
_DAMAGED = (
    OSError,
    EOFError,
    KeyError,
    RuntimeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def identity_of(predictor: Predictor) -> dict[str, Any]:
    """Everything but the images and their shifts that a network's logits depend on."""
    return {
        "weights": weights_sha256(predictor),
        "preprocessing": predictor.preprocessing.to_dict(),
        "dtype": predictor.dtype,
        "device": jax.default_backend(),
        **versions_and_code(COMPUTING, LIBRARIES),
    }


class Journal:
    """The logits of a network, one file per condition.

    A file is used only if all that its logits depend on is as it was: the network's identity, the
    images and the shift.

    Args:
      identity: see :func:`identity_of`.
      roots: folders of journals; the first is written to, the others are only read.
    """

    def __init__(self, identity: Mapping[str, Any], roots: Sequence[Path]) -> None:
        self._identity = dict(identity)
        self._folders = [root / identity["weights"][:_DIGITS] for root in roots]

    def load(
        self, name: str, contents: Sequence[str], shift: Mapping[str, Any] | None
    ) -> Float32[np.ndarray, "N C"] | None:
        """The logits of a condition; None if there are none, or they are outdated or damaged.

        Args:
          name: of the condition.
          contents: of the images, in order.
          shift: what else they depend on, as JSON-able values.
        """
        expected = self._fingerprint(contents, shift)
        for folder in self._folders:
            try:
                with np.load(folder / f"{name}.npz") as stored:
                    if str(stored["fingerprint"]) == expected:
                        logits: Float32[np.ndarray, "N C"] = stored["logits"]
                        return logits
            except _DAMAGED:
                continue
        return None

    def save(
        self,
        name: str,
        contents: Sequence[str],
        shift: Mapping[str, Any] | None,
        logits: Float32[np.ndarray, "N C"],
    ) -> None:
        """Writes the logits of a condition; the other arguments are those of :meth:`load`.

        Raises:
          UserError: the file cannot be written.
        """
        content = io.BytesIO()
        np.savez_compressed(
            content, logits=logits, fingerprint=np.array(self._fingerprint(contents, shift))
        )
        write_whole(self._folders[0] / f"{name}.npz", content.getvalue())

    def _fingerprint(self, contents: Sequence[str], shift: Mapping[str, Any] | None) -> str:
        return sha256_of_json([self._identity, list(contents), shift], sort_keys=True)
