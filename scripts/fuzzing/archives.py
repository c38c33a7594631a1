"""Zip and tar archives of images: names that lead out, links, devices, bombs, nested ones."""

from __future__ import annotations

import io
import tarfile
import zipfile

from fakd_jax.runtime.archives import extract_archive, is_archive
from fuzzing.expected import only_user_errors, scratch

_NAMES = ("Training/a/1.png", "Training\\a\\2.png", "../evil", "/tmp/evil", "a/" * 200, "b" * 300)


def seeds() -> list[bytes]:
    """Archives of every kind, good and bad."""
    good = {_NAMES[0]: b"one" * 100, _NAMES[1]: b""}
    nested = {"inner.zip": _zip(good)}
    made = [_zip(good), _zip(nested), _zip({"bomb": bytes(10**6)}), _zip({_NAMES[0]: b"1"}, 14)]
    made += [_zip({name: b"x"}) for name in _NAMES]
    made += [_tar(good, mode=f"w:{kind}") for kind in ("", "gz", "bz2", "xz")]
    made += [_tar({name: b"x"}, format=tarfile.GNU_FORMAT) for name in _NAMES]
    made += [_tar({name: b"x"}, format=tarfile.PAX_FORMAT) for name in _NAMES]
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, b"S", b"x", b"L")
    return made + [_tar({_NAMES[0]: b"x"}, kind=kind) for kind in kinds]


def check(data: bytes) -> None:
    """Unpacks an archive; nothing may be written beside its folder, nor a link or a device."""
    with scratch() as folder:
        archive, inside = folder / "archive", folder / "inside"
        archive.write_bytes(data)
        inside.mkdir()
        with only_user_errors():
            is_archive(archive)
            extract_archive(archive, inside)
        assert {path.name for path in folder.iterdir()} == {"archive", "inside"}
        for path in inside.rglob("*"):
            assert not path.is_symlink()
            assert path.is_file() or path.is_dir()


def _zip(content: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as zipped:
        for name, data in content.items():
            zipped.writestr(name, data)
    return buffer.getvalue()


def _tar(
    content: dict[str, bytes],
    mode: str = "w:",
    format: int = tarfile.PAX_FORMAT,
    kind: bytes = tarfile.REGTYPE,
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=format) as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
