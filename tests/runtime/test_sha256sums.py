"""`SHA256SUMS`: the same format as `sha256sum`, and strict."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fakd_jax.runtime.sha256sums import SUMS_FILE, damaged_files, write_sums


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("one", "a/two", "a/b/three and more"):
        (tmp_path / name).write_text(name)
    write_sums(tmp_path)
    return tmp_path


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum")
def test_sha256sum_reads_it(folder: Path) -> None:
    command = ["sha256sum", "--check", "--strict", "--quiet", SUMS_FILE]
    assert subprocess.run(command, cwd=folder, check=False).returncode == 0
    (folder / "one").write_text("other")
    assert subprocess.run(command, cwd=folder, check=False).returncode == 1


def test_every_difference_is_named(folder: Path) -> None:
    assert damaged_files(folder) == []
    (folder / "one").write_text("other")
    (folder / "a" / "two").unlink()
    (folder / "a" / "four").write_text("")
    (folder / "a" / ".nfs0001").write_text("")
    assert damaged_files(folder) == [
        "one changed",
        "a/two is missing",
        "a/four is not listed in SHA256SUMS",
    ]
    assert damaged_files(folder, "one") == ["one changed"]
    assert damaged_files(folder, "a/b/three and more") == []
    assert damaged_files(folder, "a/two") == ["a/two is missing"]


def test_every_byte_of_the_list_itself_counts(folder: Path) -> None:
    file = folder / SUMS_FILE
    content = file.read_bytes()
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        file.write_bytes(flipped)
        assert damaged_files(folder) != [], place


def test_no_end_of_the_list_may_be_missing(folder: Path) -> None:
    file = folder / SUMS_FILE
    content = file.read_bytes()
    ends_of_lines = {length for length in range(len(content)) if content[:length].endswith(b"\n")}
    for length in ends_of_lines | set(range(0, len(content), 16)):
        file.write_bytes(content[:length])
        assert damaged_files(folder) != [], length
