"""Identifies the code and libraries that measure a cell, so that no cell outlives them."""

from __future__ import annotations

from pathlib import Path

from fakd_jax.runtime.source_code import PACKAGE, source_files, versions_and_code

MEASURING = (
    "data/head.py",
    "data/intensity.py",
    "data/masks.py",
    "data/pixels",
    "data/preprocessing.py",
    "data/resizing.py",
    "explanation/benchmark/measure.py",
    "explanation/benchmark/metrics.py",
    "explanation/methods",
    "explanation/quality",
    "explanation/result.py",
    "explanation/scene",
    "inference",
    "metrics/resampling.py",
    "models",
)
"""Modules and packages of fakd_jax that a cell depends on; reports are not among them."""

LIBRARIES = (
    "flax",
    "jax",
    "jaxlib",
    "networkx",
    "numpy",
    "pillow",
    "scikit-image",
    "scipy",
)
"""Libraries that compute, draw random numbers, resize, segment or fit."""


def measuring_files() -> list[Path]:
    """The source files of :data:`MEASURING`, relative to the package."""
    return source_files(MEASURING, PACKAGE)


def measured_by() -> dict[str, str]:
    """Versions of the libraries, and as `code` the SHA-256 of the measuring sources."""
    return versions_and_code(MEASURING, LIBRARIES, PACKAGE)
