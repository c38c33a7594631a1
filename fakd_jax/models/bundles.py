"""Checkpoints in a zip, unpacked once into the user's cache."""

from __future__ import annotations

from pathlib import Path

from fakd_jax.errors import UserError
from fakd_jax.runtime.archives import extract_archive
from fakd_jax.runtime.cache import data_cache_folder, written_whole
from fakd_jax.runtime.hashing import sha256_of_file

FOLDER = "bundles"


def unpack_bundle(archive: Path, marker: str) -> Path:
    """Unpacks a bundle, unless one with the same bytes has been unpacked before.

    Args:
      archive: a zip; nothing in it is trusted.
      marker: the file that a checkpoint's folder has.

    Returns:
      The folder with that file: of the whole archive, or the only folder in it.

    Raises:
      UserError: the archive is broken or unsafe, see
        :func:`fakd_jax.runtime.archives.extract_archive`; it is no bundle; or it cannot be
        unpacked.
    """
    folder = data_cache_folder() / FOLDER / sha256_of_file(archive)
    if not folder.is_dir():
        with written_whole(folder) as unfinished:
            extract_archive(archive, unfinished)
            _within(unfinished, marker, archive)
    return _within(folder, marker, archive)


def _within(folder: Path, marker: str, archive: Path) -> Path:
    inner = [path for path in folder.iterdir() if path.is_dir()]
    for place in (folder, *(inner if len(inner) == 1 else [])):
        if (place / marker).is_file():
            return place
    raise UserError(
        f"{archive} is no bundle: it has no {marker}; give one that fakd export --format bundle "
        "wrote"
    )
