"""`SHA256SUMS`: the digest of every file of a folder, as `sha256sum` writes and checks it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fakd_jax.runtime.hashing import sha256_of_file

SUMS_FILE = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def write_sums(folder: Path) -> None:
    """Writes `SHA256SUMS` over all other files of a folder, those of subfolders included."""
    lines = [f"{digest}  {name}\n" for name, digest in _digests(folder, _files(folder)).items()]
    (folder / SUMS_FILE).write_text("".join(lines), encoding="utf-8")


def listed_names(folder: Path) -> list[str]:
    """The files that a folder's `SHA256SUMS` lists, whether or not they are there.

    Raises:
      OSError: it cannot be read.
      ValueError: it is damaged.
    """
    return list(_parse((folder / SUMS_FILE).read_text(encoding="utf-8")))


def damaged_files(folder: Path, only: str | None = None) -> list[str]:
    """Compares a folder with its `SHA256SUMS`.

    Hidden files that are not listed are ignored: file managers and network drives leave some.

    Args:
      folder: has a `SHA256SUMS`.
      only: compare this file alone.

    Returns:
      A description of every file that changed, is missing, or is not listed; [] if none.
    """
    try:
        listed = _parse((folder / SUMS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [f"{SUMS_FILE} cannot be read ({error})"]
    found = set(_files(folder))
    if only is not None:
        found, listed = found & {only}, {only: listed.get(only, "")}
    digests = _digests(folder, sorted(listed.keys() & found))
    visible = (name for name in found - listed.keys() if not Path(name).name.startswith("."))
    return [
        *(f"{name} changed" for name, digest in digests.items() if digest != listed[name]),
        *(f"{name} is missing" for name in sorted(listed.keys() - found)),
        *(f"{name} is not listed in {SUMS_FILE}" for name in sorted(visible)),
    ]


def _parse(text: str) -> dict[str, str]:
    """Digests by file name.

    Raises:
      ValueError: a line is not one of `sha256sum`.
    """
    listed = {}
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(f"line {number} is damaged")
        listed[match[2]] = match[1]
    if not text.endswith("\n"):
        raise ValueError("its end is missing")
    return listed


def _files(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    names = (path.relative_to(folder).as_posix() for path in files)
    return sorted(name for name in names if name != SUMS_FILE)


def _digests(folder: Path, names: list[str]) -> Mapping[str, str]:
    """The files' digests; of one that cannot be read, the system's reason."""

    def digest(name: str) -> str:
        try:
            return sha256_of_file(folder / name)
        except OSError as error:
            return error.strerror or str(error)

    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter's lock
        return dict(zip(names, pool.map(digest, names), strict=True))
