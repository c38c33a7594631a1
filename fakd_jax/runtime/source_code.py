"""Identifies the code and libraries that results depend on, so that none outlives them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from fakd_jax.runtime.hashing import sha256

PACKAGE = Path(__file__).parents[1]


def source_files(parts: Sequence[str], package: Path = PACKAGE) -> list[Path]:
    """The source files of modules (`data/preprocessing.py`) and packages (`models`).

    Args:
      parts: relative to the package.
      package: its folder.

    Returns:
      Paths relative to the package.
    """
    return [
        file.relative_to(package)
        for part in parts
        for file in (
            [package / part] if part.endswith(".py") else sorted((package / part).rglob("*.py"))
        )
    ]


def versions_and_code(
    parts: Sequence[str], libraries: Sequence[str], package: Path = PACKAGE
) -> dict[str, str]:
    """Versions of libraries, and as `code` the SHA-256 of sources.

    The package's version is not enough: it does not change with every fix.

    Args:
      parts: see :func:`source_files`.
      libraries: installed distributions.
      package: the folder of the sources.
    """
    sources: list[str | bytes] = []
    for file in source_files(parts, package):
        content = (package / file).read_bytes()
        sources += [f"{file.as_posix()} {len(content)} ", content]
    return {library: version(library) for library in libraries} | {"code": sha256(*sources)}
