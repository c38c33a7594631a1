"""What people give as weights and is not: pointers, web pages, archives, other formats."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from fakd_jax.errors import UserError

_START = 1024  # bytes; a tar archive has its magic number at 257

_LFS = b"version https://git-lfs.github.com/spec/"
_MARKUP = (b"<!doctype", b"<html", b"<head", b"<?xml")
_MARKUP_MAY_FOLLOW = b"\xef\xbb\xbf \t\r\n"  # a byte-order mark, white space

# Magic numbers of other formats: offset, bytes, what the file is, what to do.
_OTHERS = (
    (0, b"\x89HDF\r\n", "an HDF5 file, as Keras writes", "save the PyTorch weights"),
    (0, b"\x1f\x8b", "a gzip archive", "unpack it, and give the file in it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it, and give the file in it"),
    (0, b"Rar!", "a RAR archive", "unpack it, and give the file in it"),
    (257, b"ustar", "a tar archive", "unpack it, and give the file in it"),
)


def refuse_other_content(path: Path) -> None:
    """Refuses a file whose first bytes show that it holds no weights.

    Raises:
      UserError: a Git LFS pointer, a web page, an archive or another format, with what to do.
    """
    with path.open("rb") as file:
        start = file.read(_START)
    if start.startswith(_LFS):
        size = re.search(rb"^size (\d+)", start, re.MULTILINE)
        of = f" of {int(size[1]):,} bytes" if size and len(size[1]) < 20 else ""
        raise UserError(
            f"{path} is a Git LFS pointer, not the file{of} that it stands for; run `git lfs pull` "
            "in its repository, or download the file itself"
        )
    if start.lstrip(_MARKUP_MAY_FOLLOW).lower().startswith(_MARKUP):
        raise UserError(
            f"{path} is a web page, not weights: the download ended at a login, a notice or an "
            "error; open its address in a browser, and download the file itself"
        )
    for offset, magic, what, advice in _OTHERS:
        if start[offset:].startswith(magic):
            raise UserError(f"{path} is {what}, not weights; {advice}")
    if zipfile.is_zipfile(path):
        _require_saved_by_torch(path)


def _require_saved_by_torch(path: Path) -> None:
    """Refuses a ZIP archive that is compressed, is TorchScript or was not written by PyTorch."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return  # damaged: PyTorch's reader finds that too
    # PyTorch compresses nothing; a compressed archive could swell in memory.
    if any(info.file_size > path.stat().st_size for info in members):
        raise UserError(f"{path} is compressed; save it again with torch.save")
    names = {info.filename.rpartition("/")[2] for info in members}
    if "constants.pkl" in names:
        raise UserError(
            f"{path} is a TorchScript archive, which holds code; save only the weights: "
            "torch.save(torch.jit.load(FILE).state_dict(), OTHER)"
        )
    if members and "data.pkl" not in names:
        raise UserError(
            f"{path} is a ZIP archive that torch.save did not write; unpack it, and give the file "
            "in it"
        )
