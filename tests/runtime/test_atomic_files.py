"""Atomic writes, and what is said where they fail."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakd_jax.errors import UserError
from fakd_jax.runtime.atomic_files import (
    failed_write,
    locked,
    remove,
    require_writable,
    sync,
    write_whole,
)


def test_text_and_bytes_replace_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folders" / "file.txt"
    write_whole(file, "grüße\n")
    assert file.read_bytes() == "grüße\n".encode()
    write_whole(file, b"\x00\xff")
    assert file.read_bytes() == b"\x00\xff"
    assert os.listdir(file.parent) == ["file.txt"]


def test_a_file_and_its_new_folders_reach_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append(re.sub(r"[0-9a-f]{16}", "RANDOM", path.relative_to(tmp_path).as_posix()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    write_whole(tmp_path / "a" / "b" / "file", "text")
    assert synced == ["a", ".", "a/b/.file.RANDOM.unfinished", "a/b"]


def test_a_folder_that_cannot_be_synced_is_left_to_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")

    def refuse(descriptor: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    sync(tmp_path)
    with pytest.raises(OSError, match="Invalid argument"):
        sync(tmp_path / "file")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("no number"), "no number"),
        (ValueError("RESOURCE_EXHAUSTED: No space left on device [28]"), "No space left on device"),
        (RuntimeError("write() failed: File too large; at byte 60000"), "File too large"),
        (RuntimeError("Disk quota exceeded"), "Disk quota exceeded"),
        (ValueError("PERMISSION_DENIED: \"d/a\": Permission denied ['13']"), "Permission denied"),
        (ValueError("NOT_FOUND: No such file or directory"), "No such file or directory"),
        (
            ValueError("Save failed: 2/9 params are missing in checkpoint:\na.b \na.c.\nKvStore"),
            "2/9 params are missing in checkpoint",
        ),
        (ValueError("a bug"), None),
    ],
)
def test_only_failed_writes_have_a_reason(error: Exception, reason: str | None) -> None:
    assert failed_write(error) == reason


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    write_whole(file, "old")

    def no_room(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_room)
    with pytest.raises(UserError, match="No space left on device"):
        write_whole(file, "new")
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_writable_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "report")
    assert os.listdir(tmp_path / "new" / "report") == []


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    below = tmp_path / "file" / "report"
    for write in (require_writable, lambda path: write_whole(path, b"x")):
        with pytest.raises(UserError, match=f"cannot write {below}: .*--output"):
            write(below)


def test_removing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    remove(file)
    remove(file)
    assert not file.exists()
    with pytest.raises(UserError, match=r"cannot remove .*folder"):
        remove(tmp_path, advice="it is a folder")


def test_a_lock_whose_folder_is_moved_away_is_found_out(tmp_path: Path) -> None:
    folder, held = tmp_path / "run", ExitStack()
    held.enter_context(locked(folder / ".lock", refusal="in use"))
    folder.rename(tmp_path / "elsewhere")
    folder.mkdir()
    (folder / ".lock").write_bytes(b"")
    with pytest.raises(UserError, match="moved or removed"):
        held.close()
