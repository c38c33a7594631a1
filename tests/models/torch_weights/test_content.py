"""What people give as weights and is not."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from fakd_jax.errors import UserError
from fakd_jax.models.torch_weights import read_state_dict

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 97811234\n"


def zipped(*names: str, kind: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name in names:
            archive.writestr(name, bytes(10_000))
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pth"))
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (POINTER, "Git LFS pointer, not the file of 97,811,234 bytes.*`git lfs pull`"),
        (POINTER.replace(b"97811234", b"9" * 99), "Git LFS pointer, not the file that"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html><title>Sign in</title>", "is a web page"),
        (b"<html>404</html>", "is a web page"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "is a web page"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1f\x8b\x08\x00", "gzip archive.*unpack it"),
        (tarred(), "tar archive.*unpack it"),
        (zipped("model.pth"), "torch.save did not write; unpack it"),
        (zipped("m/data.pkl", "m/constants.pkl"), "TorchScript archive, which holds code"),
        (zipped("m/data.pkl", kind=zipfile.ZIP_DEFLATED), "is compressed"),
    ],
)
def test_is_recognised_and_refused_with_what_to_do(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_state_dict(tmp_path / name)
    assert "\n" not in str(caught.value)
