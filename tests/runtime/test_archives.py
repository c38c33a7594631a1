from __future__ import annotations

import gzip
import io
import stat
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from fakd_jax.errors import UserError
from fakd_jax.runtime import archives
from fakd_jax.runtime.archives import extract_archive, is_archive

CONTENT = {"Training/a/1.png": b"one" * 1000, "Testing/a/2.png": b"", "notes.txt": b"n"}


def write_tar(path: Path, content=CONTENT, mode: str = "w", members=()) -> Path:
    with tarfile.open(path, mode) as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for member in members:
            tar.addfile(member)
    return path


def write_zip(path: Path, content=CONTENT) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.mkdir("Training")
        for name, data in content.items():
            zipped.writestr(name, data)
    return path


def read_folder(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def refused(archive: Path, tmp_path: Path) -> str:
    """The error's text; nothing may have been written outside the folder."""
    before = read_folder(tmp_path)
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(UserError) as error:
        extract_archive(archive, folder)
    outside = {name for name in read_folder(tmp_path) if not name.startswith("out/")}
    assert outside == set(before)
    return str(error.value)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_every_kind_of_archive_is_unpacked(tmp_path, kind):
    path = tmp_path / f"data.{kind}"
    if kind == "zip":
        write_zip(path)
    else:
        write_tar(path, mode=f"w:{kind.partition('.')[2]}")
    folder = tmp_path / "out"
    folder.mkdir()
    assert is_archive(path)
    extract_archive(path, folder)
    assert read_folder(folder) == CONTENT


@pytest.mark.parametrize("name", ["../evil.png", "a/../../evil.png", "/tmp/evil.png", "C:/e.png"])
@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_names_that_lead_out_are_refused(tmp_path, name, write):
    archive = write(tmp_path / "evil", {**CONTENT, name: b"x"})
    assert "may lead out" in refused(archive, tmp_path)


def test_backslashes_are_separators_and_cannot_lead_out(tmp_path):
    folder = tmp_path / "good"
    folder.mkdir()
    extract_archive(write_zip(tmp_path / "a.zip", {"Training\\a\\1.png": b"x"}), folder)
    assert read_folder(folder) == {"Training/a/1.png": b"x"}
    assert "may lead out" in refused(write_zip(tmp_path / "b.zip", {"..\\e.png": b"x"}), tmp_path)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_tars_are_refused(tmp_path, kind):
    info = tarfile.TarInfo("Training/a/link.png")
    info.type = kind
    info.linkname = "Training/a/1.png"
    archive = write_tar(tmp_path / "a.tar", members=[info])
    assert "'Training/a/link.png' is a link or a device" in refused(archive, tmp_path)


def test_links_in_zips_are_refused(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        info = zipfile.ZipInfo("link.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(info, "/etc/passwd")
    assert "is a link or a device" in refused(archive, tmp_path)


def test_encrypted_zips_are_refused(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"1.png": b"x"})
    content = bytearray(archive.read_bytes())
    content[content.rindex(b"PK\x03\x04") + 6] |= 1  # the flag in the file's header
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # and in the directory
    archive.write_bytes(content)
    assert "is encrypted" in refused(archive, tmp_path)


@pytest.mark.parametrize("names", [("a/1.png", "a/1.png"), ("a", "a/1.png")])
def test_the_same_name_twice_is_refused(tmp_path, names):
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name))
    assert "is there twice" in refused(archive, tmp_path)


@pytest.mark.parametrize("kept", [512 + 100, 512 + 3072, 512 + 3072 + 100])
def test_a_tar_cut_anywhere_is_reported(tmp_path, kept):
    archive = write_tar(tmp_path / "a.tar")
    archive.write_bytes(archive.read_bytes()[:kept])
    assert "broken or truncated" in refused(archive, tmp_path)


@pytest.mark.parametrize("compression", ["gz", "bz2", "xz"])
def test_a_compressed_tar_cut_short_is_reported(tmp_path, compression):
    random = {f"{n}.png": bytes((n * k * k) % 251 for k in range(5000)) for n in range(9)}
    archive = write_tar(tmp_path / "a.tar", random, mode=f"w:{compression}")
    archive.write_bytes(archive.read_bytes()[:-200])
    assert "truncated" in refused(archive, tmp_path)


def test_a_zip_cut_short_or_with_a_wrong_checksum_is_reported(tmp_path):
    archive = write_zip(tmp_path / "a.zip")
    content = archive.read_bytes()
    archive.write_bytes(content[:-30])
    assert "truncated" in refused(archive, tmp_path)
    (tmp_path / "out").rmdir()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as zipped:
        zipped.writestr("1.png", b"abcdefgh")
    archive.write_bytes(archive.read_bytes().replace(b"abcdefgh", b"abcdefgx"))
    assert "Bad CRC-32" in refused(archive, tmp_path)


def test_what_is_no_archive_is_reported(tmp_path):
    file = tmp_path / "a.zip"
    file.write_text("hello")
    assert not is_archive(file)
    assert "neither a zip nor a tar" in refused(file, tmp_path)


def test_a_tar_that_ends_with_a_zip_is_a_tar(tmp_path):
    inner = write_zip(tmp_path / "inner.zip", {"hidden.png": b"x"}).read_bytes()
    folder = tmp_path / "out"
    folder.mkdir()
    extract_archive(write_tar(tmp_path / "a.tar", {"1.png": b"y", "inner.zip": inner}), folder)
    assert read_folder(folder) == {"1.png": b"y", "inner.zip": inner}


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_an_archive_that_swells_is_refused_before_it_is_written(tmp_path, write, monkeypatch):
    monkeypatch.setattr(archives, "SMALL_ENOUGH_BYTES", 10_000)
    monkeypatch.setattr(archives, "MAX_EXPANSION", 2)
    archive = write(tmp_path / "bomb", {"1.png": b"x", "2.png": bytes(1_000_000)})
    if write is write_tar:
        monkeypatch.setattr(archives, "MAX_BYTES", 100_000)
    assert "far more than such an archive should" in refused(archive, tmp_path)
    assert read_folder(tmp_path / "out") == {"1.png": b"x"}


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    assert "2 files" in refused(write_tar(tmp_path / "a.tar"), tmp_path)


def test_no_room_is_reported(tmp_path, monkeypatch):
    usage = archives.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda path: usage._replace(free=100))
    assert "no room to unpack" in refused(write_tar(tmp_path / "a.tar"), tmp_path)


def test_a_name_too_long_for_the_disk_is_refused(tmp_path):
    assert "too long a name" in refused(write_tar(tmp_path / "a.tar", {"b" * 300: b"x"}), tmp_path)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_declares_gigabytes_is_not_read_into_memory(tmp_path, kind):
    info = tarfile.TarInfo("pax")
    info.type, info.size = kind, 2**30
    archive = tmp_path / "a.tar.gz"
    with gzip.open(archive, "wb", compresslevel=1) as stream:
        stream.write(info.tobuf())
        stream.write(bytes(2**24))
    tracemalloc.start()
    refused(archive, tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 2**23
    tracemalloc.stop()


def test_a_negative_size_is_refused(tmp_path):
    info = tarfile.TarInfo("a")
    content = bytearray(info.tobuf())
    content[124:136] = b"\xff" * 12  # -1 in base 256
    content[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(content))[0]
    (tmp_path / "a.tar").write_bytes(content + bytes(1024))
    refused(tmp_path / "a.tar", tmp_path)


def test_folders_count_as_members_too(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    folders = [tarfile.TarInfo(name) for name in "abc"]
    for folder in folders:
        folder.type = tarfile.DIRTYPE
    archive = write_tar(tmp_path / "a.tar", {}, members=folders)
    assert "2 files" in refused(archive, tmp_path)


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w:bz2"])
def test_a_compressed_tar_that_ends_in_its_first_header_is_reported(tmp_path, mode):
    archive = write_tar(tmp_path / "a.tar", mode=mode)
    archive.write_bytes(archive.read_bytes()[:40])
    refused(archive, tmp_path)


def test_offsets_before_the_start_of_a_zip_are_reported(tmp_path):
    archive = write_zip(tmp_path / "a.zip")
    content = bytearray(archive.read_bytes())
    at = content.rindex(b"PK\5\6") + 16  # where the directory starts
    content[at : at + 4] = (int.from_bytes(content[at : at + 4], "little") + 99).to_bytes(
        4, "little"
    )
    archive.write_bytes(content)
    assert "broken or truncated" in refused(archive, tmp_path)
