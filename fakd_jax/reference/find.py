"""Finds the reference that belongs to a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fakd_jax.reference.reference import Reference
from fakd_jax.runs.files import REFERENCE_FILE
from fakd_jax.runs.workdir import evaluation_folders, find_workdir


def find_reference(
    checkpoint: Path, metadata: Mapping[str, Any], weights_sha256: str
) -> Reference | None:
    """What is known about the training images of a checkpoint.

    It lies in the checkpoint's folder, as in a bundle, or beside the evaluation in its workdir.

    Args:
      checkpoint: the checkpoint's own folder.
      metadata: the checkpoint's.
      weights_sha256: of the network, see :func:`fakd_jax.inference.adapter.weights_sha256`.

    Returns:
      None if there is none, or only one of other weights.

    Raises:
      DamagedError: it is damaged.
    """
    workdir = find_workdir(checkpoint)
    folders = [checkpoint, *(evaluation_folders(checkpoint, workdir) if workdir else [])]
    for folder in folders:
        if (folder / REFERENCE_FILE).is_file():
            reference = Reference.load(folder)
            if reference.weights_sha256 == weights_sha256:
                return reference
    return None
