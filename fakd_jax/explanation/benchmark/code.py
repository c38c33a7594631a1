"""What computes a benchmark's figures: code and libraries, so that none outlives its own."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import fakd_jax
from fakd_jax.runtime.hashing import sha256

COMPUTING = (
    "explanation/scene",
    "explanation/methods",
    "explanation/quality",
    "explanation/benchmark/cases.py",
    "explanation/benchmark/code.py",
    "explanation/benchmark/measure.py",
    "explanation/benchmark/observations.py",
    "explanation/options.py",
    "explanation/result.py",
    "explanation/subjects.py",
    "inference",
    "metrics/resampling.py",
    "models",
    "data/preprocessing.py",
)
"""The parts of this package that a figure may depend on, rather one too many than one too few."""

LIBRARIES = (
    "flax",
    "jax",
    "jaxlib",
    "lime",
    "networkx",
    "numpy",
    "pillow",
    "scikit-image",
    "scikit-learn",
    "scipy",
)
"""Those that compute, draw at random, resize, cut into superpixels or fit."""


def computed_by() -> dict[str, str]:
    """The versions of the libraries, and as `code` the SHA-256 of the sources of :data:`COMPUTING`.

    The package's version would not do: it stays the same from one release to the next, and what
    is measured before a mistake is mended would be averaged with what is measured after.
    """
    root = Path(fakd_jax.__file__).parent
    sources: list[str | bytes] = []
    for part in COMPUTING:
        path = root / part
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            content = file.read_bytes()
            sources += [f"{file.relative_to(root).as_posix()} {len(content)} ", content]
    return {library: version(library) for library in LIBRARIES} | {"code": sha256(*sources)}
