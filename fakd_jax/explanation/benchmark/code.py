"""Identifies the code and libraries that measure a cell, so that no cell outlives them."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from fakd_jax.runtime.hashing import sha256

PACKAGE = Path(__file__).parents[2]
MEASURING = (
    "data/intensity.py",
    "data/preprocessing.py",
    "explanation/benchmark/measure.py",
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
    return [
        file.relative_to(PACKAGE)
        for part in MEASURING
        for file in (
            [PACKAGE / part] if part.endswith(".py") else sorted((PACKAGE / part).rglob("*.py"))
        )
    ]


def measured_by() -> dict[str, str]:
    """Versions of the libraries, and as `code` the SHA-256 of the measuring sources.

    The package's version is not enough: it does not change with every fix.
    """
    sources: list[str | bytes] = []
    for file in measuring_files():
        content = (PACKAGE / file).read_bytes()
        sources += [f"{file.as_posix()} {len(content)} ", content]
    return {library: version(library) for library in LIBRARIES} | {"code": sha256(*sources)}
