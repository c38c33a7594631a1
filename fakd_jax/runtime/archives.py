"""Unpacking of zip and tar archives from untrusted sources."""

from __future__ import annotations

import errno
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, Self, runtime_checkable

from fakd_jax.errors import UserError

MAX_BYTES = 64 * 2**30
MAX_EXPANSION = 100
SMALL_ENOUGH_BYTES = 2**30
MAX_MEMBERS = 2_000_000
_CHUNK_BYTES = 2**20
_MAX_EXTENSION_BYTES = 2**20
_EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class NoRoomError(UserError):
    """There is no room to unpack an archive, which may be sound."""


@runtime_checkable
class _Readable(Protocol):
    """The content of a member, of a zip or a tar."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class _Member:
    """A member of an archive: its name and, of a file, its declared size and its content."""

    name: str
    size: int = 0
    content: _Readable | None = None


class _TarHeader(tarfile.TarInfo):
    """A header that declares no more than an honest one would.

    `tarfile` reads long names and attributes into memory, whatever size their header declares,
    which in a compressed archive costs the sender nothing.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in _EXTENSIONS and header.size > _MAX_EXTENSION_BYTES):
            raise tarfile.ReadError(f"a header declares {header.size:,} bytes")
        return header


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or tar archive, compressed or not, by its content."""
    try:
        return _is_tar(path) or zipfile.is_zipfile(path)
    except OSError as error:
        if error.errno is not None:
            raise
        return True
    except Exception:  # it begins as a compressed tar does; unpacking it reports what is wrong
        return True


def _is_tar(path: Path) -> bool:
    try:
        with tarfile.open(path, tarinfo=_TarHeader):
            return True
    except tarfile.TarError:
        return False


def extract_archive(archive: Path, folder: Path) -> None:
    """Unpacks a zip or tar archive into an empty folder, trusting nothing in it.

    Raises:
      UserError: the archive is broken or truncated; contains links, devices, encrypted files,
        duplicate names, or names that lead out of the folder; or would take more than
        `MAX_BYTES`, or more than `MAX_EXPANSION` times its own size beyond a gigabyte.
      NoRoomError: it would take more than the free disk space.
    """
    size = archive.stat().st_size
    allowed = min(MAX_BYTES, max(SMALL_ENOUGH_BYTES, MAX_EXPANSION * size))
    room = shutil.disk_usage(folder).free
    written = 0
    try:
        with _opened(archive) as members:
            for number, member in enumerate(members):
                target = folder / _safe_path(member.name, archive)
                written += member.size
                if written > allowed or number >= MAX_MEMBERS:
                    raise UserError(
                        f"{archive} unpacks to far more than such an archive should "
                        f"(over {allowed / 2**30:.0f} GiB or {MAX_MEMBERS:,} files); "
                        "unpack it yourself and give the folder if you trust it"
                    )
                if written > room:
                    raise NoRoomError(
                        f"no room to unpack {archive} in {folder.parent}; make room or choose "
                        "another folder for prepared data with FAKD_JAX_CACHE=<folder>"
                    )
                if member.content is not None:
                    _write(member, member.content, target, archive)
    except UserError:
        raise
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # of the disk
            raise
        raise _broken(archive, str(error)) from error  # of gzip, bz2, or a wrong offset
    except Exception as error:  # a broken archive makes zipfile and tarfile raise nearly anything
        raise _broken(archive, str(error)) from error


def _broken(archive: Path, why: str) -> UserError:
    reason = " ".join(why.split())
    return UserError(f"{archive} is broken or truncated ({reason}); download it again")


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[_Member]]:
    """The members of an archive, one after the other."""
    if _is_tar(archive):  # first: a tar whose last file is a zip looks like a zip too
        with tarfile.open(archive, tarinfo=_TarHeader) as tar:
            yield _tar_members(tar, archive)
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            yield _zip_members(zipped, archive)
    else:
        raise not_an_archive(archive)


def not_an_archive(file: Path) -> UserError:
    """The error for a file that is not an archive."""
    return UserError(
        f"{file} is neither a zip nor a tar archive, or it is truncated; "
        "give such an archive or a folder"
    )


def _zip_members(zipped: zipfile.ZipFile, archive: Path) -> Iterator[_Member]:
    for info in zipped.infolist():
        if info.is_dir():
            yield _Member(info.filename)
            continue
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise _refused(archive, info.filename, "is a link or a device")
        if info.flag_bits & 1:
            raise _refused(archive, info.filename, "is encrypted")
        with zipped.open(info) as content:
            yield _Member(info.filename, info.file_size, content)


def _tar_members(tar: tarfile.TarFile, archive: Path) -> Iterator[_Member]:
    for info in tar:
        tar.members = []  # type: ignore[attr-defined]  # not kept in memory
        if info.isdir():
            yield _Member(info.name)
            continue
        content = tar.extractfile(info) if info.isreg() else None
        if content is None:
            raise _refused(archive, info.name, "is a link or a device")
        yield _Member(info.name, info.size, content)
    # tarfile accepts an archive truncated between two files: look for the end mark
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
        raise _broken(archive, "no end-of-archive mark")


def _refused(archive: Path, name: str, why: str) -> UserError:
    return UserError(
        f"{archive}: {name!r} {why}, which is not unpacked; "
        "unpack it yourself and give the folder if you trust it"
    )


def _safe_path(name: str, archive: Path) -> PurePosixPath:
    """A member's name as a path inside the folder."""
    path = PurePosixPath(name.replace("\\", "/"))  # some zips from Windows have backslashes
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", name) or "\0" in name:
        raise _refused(archive, name, "has a name that may lead out of the folder")
    return path


def _write(member: _Member, content: _Readable, target: Path, archive: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            left = member.size
            while chunk := content.read(min(_CHUNK_BYTES, left)):
                file.write(chunk)
                left -= len(chunk)
    except (FileExistsError, NotADirectoryError) as error:
        raise _refused(archive, member.name, "is there twice") from error
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise _refused(archive, f"{member.name[:40]}…", "has too long a name") from error
    if left:
        raise _broken(archive, f"{member.name} has {member.size - left} of {member.size} bytes")
