"""Which files what a user names stands for, in which order, and each once."""

from __future__ import annotations

import io
import os
import sys
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from fakd_jax.errors import UserError
from fakd_jax.prediction.file_list import FileList, FoundFile, new_file_list
from fakd_jax.prediction.inputs import InputScanner, open_path_list
from tests.prediction.brightness import write_colour

GREY = (9, 9, 9)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Images, hidden ones, and files that are none, in folders whose names sort among the files."""
    for name in ("b.png", "a/2.png", "a/1.jpg", "a.png", "c/.hidden/1.png", ".2.png", "a/d/0.bmp"):
        write_colour(tmp_path / "scans" / name, GREY)
    (tmp_path / "scans" / "notes.txt").write_text("no image")
    return tmp_path / "scans"


SORTED = ["scans/a.png", "scans/a/1.jpg", "scans/a/2.png", "scans/a/d/0.bmp", "scans/b.png"]


def found(*names: str, paths: tuple[str, ...] = ()) -> tuple[list[str], int]:
    """The paths that arguments and lines of a list stand for, and the number passed over."""
    with new_file_list(Path("list")) as files:
        scanner = InputScanner(files, Path("archives"))
        for name in names:
            scanner.add_argument(name)
        for path in paths:
            scanner.add_path(path)
    listed = [*FileList(Path("list")).after(0)]
    assert [file.number for file in listed] == [*range(1, len(listed) + 1)]
    return [file.path for file in listed], scanner.passed_over


def test_a_folder_gives_its_images_sorted_by_path(scans: Path) -> None:
    assert found("scans") == (SORTED, 3)
    assert found("./scans/") == (SORTED, 3)


def test_arguments_keep_their_order_and_files_come_once(scans: Path) -> None:
    names = ("scans/b.png", "scans/missing.png", "scans", str(scans / "a.png"), "scans/a/../b.png")
    once = ["scans/b.png", "scans/missing.png", *(path for path in SORTED if "b.png" not in path)]
    assert found(*names) == (once, 3)


@pytest.mark.parametrize(
    ("pattern", "expected", "passed_over"),
    [
        ("scans/*.png", ["scans/a.png", "scans/b.png"], 0),
        ("scans/**/?.*", SORTED, 0),
        ("scans/*", SORTED, 2),  # folders with all that is in them
        ("scans/[ab].png", ["scans/a.png", "scans/b.png"], 0),
    ],
)
def test_globs_give_what_matches_sorted(
    scans: Path, pattern: str, expected: list[str], passed_over: int
) -> None:
    assert found(pattern) == (expected, passed_over)


def test_a_glob_without_a_match_is_an_error_and_a_file_with_its_name_is_none(scans: Path) -> None:
    with pytest.raises(UserError, match=r"nothing matches scans/\*\.tif"):
        found("scans/*.tif")
    write_colour(scans / "[ab].png", GREY)
    assert found("scans/[ab].png") == (["scans/[ab].png"], 0)


@pytest.mark.parametrize(
    "content", [b"a.png\nmissing.png\n\nb c.png", b"\xef\xbb\xbfa.png\r\nb c.png\r\n"]
)
def test_a_list_has_one_path_per_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "paths.txt").write_bytes(content)
    with open_path_list("paths.txt") as listed:
        assert listed is not None
        paths = [*listed.paths]
    assert [path for path in paths if path != "missing.png"] == ["a.png", "b c.png"]


def test_a_list_may_come_from_standard_input_and_is_known_by_its_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    digests = []
    for content in (b"scans\n*.png\n", b"scans\n*.png\n", b"scans\n"):
        stdin = io.BytesIO(content)
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stdin))
        with open_path_list("-") as listed:
            assert listed is not None
            assert [*listed.paths] == content.decode().split()
            digests.append(listed.sha256)
        assert not stdin.closed
    assert digests[0] == digests[1] != digests[2]
    with pytest.raises(UserError, match="cannot read the list nowhere"), open_path_list("nowhere"):
        pass


def test_lines_of_a_list_are_taken_as_they_stand(scans: Path) -> None:
    assert found(paths=("scans/*.png", "scans/a")) == (["scans/*.png", *SORTED[1:4]], 0)


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_gives_its_images_by_its_own_name(scans: Path, kind: str) -> None:
    archive = Path(f"all.{kind}")
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for path in scans.rglob("*"):
                zipped.write(path, path.relative_to(scans.parent))
    else:
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(scans, "scans")
    assert found(str(archive), str(archive.absolute())) == (
        [f"{archive}/{path}" for path in SORTED],
        6,
    )
    listed = next(FileList(Path("list")).after(1))
    assert Path(listed.file).read_bytes() == (scans / "a" / "1.jpg").read_bytes()


def test_a_broken_or_hostile_archive_is_a_file_with_a_problem(scans: Path) -> None:
    with zipfile.ZipFile("evil.zip", "w") as zipped:
        zipped.writestr("../outside.png", b"")
    with tarfile.open("cut.tar", "w") as tar:
        tar.add(scans, "scans")
    Path("cut.tar").write_bytes(Path("cut.tar").read_bytes()[:4_000])
    assert found("evil.zip", "cut.tar", "scans/b.png")[0] == ["evil.zip", "cut.tar", "scans/b.png"]
    problems = [file.problem for file in FileList(Path("list")).after(0)]
    assert "'../outside.png' has a name that may lead out" in problems[0]
    assert problems[1].startswith("is broken or truncated")
    assert problems[2] == ""
    assert not Path("outside.png").exists()


def test_an_archive_without_images_is_a_file_with_a_problem(scans: Path) -> None:
    with zipfile.ZipFile("report.docx", "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    listed = found(paths=("report.docx", "scans/b.png"))
    assert listed == (["report.docx", "scans/b.png"], 1)
    assert next(iter(FileList(Path("list")).after(0))).problem == "the archive has no image"


def test_an_empty_name_is_not_the_working_folder(scans: Path) -> None:
    with pytest.raises(UserError, match="empty name"):
        found("")


def test_a_named_pipe_is_no_image(scans: Path) -> None:
    os.mkfifo(scans / "pipe")
    assert found("scans")[0] == SORTED


def test_an_archive_that_finds_no_room_ends_the_command(
    scans: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile("all.zip", "w") as zipped:
        zipped.write(scans / "b.png")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=0))
    with pytest.raises(UserError, match=r"no room to unpack all\.zip beside the output"):
        found("all.zip")


def test_what_can_be_no_file_is_listed_for_its_row() -> None:
    long = "a" * 300 + ".png"
    assert found(long, paths=("b\0.png", long)) == ([long, "b\0.png"], 0)


def test_names_that_are_not_utf_8_are_kept(tmp_path: Path) -> None:
    write_colour(tmp_path / "scans" / "ok.png", GREY)
    os.rename(b"scans/ok.png", b"scans/\xff.png")
    assert found("scans") == ([os.fsdecode(b"scans/\xff.png")], 0)


def test_a_link_in_a_circle_is_followed_once(scans: Path) -> None:
    (scans / "z").symlink_to(scans)
    assert found("scans") == (SORTED, 3)


def test_a_list_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    def interrupted() -> None:
        with new_file_list(tmp_path / "list") as files:
            files.add(FoundFile("a.png", "a.png"))
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert not (tmp_path / "list").exists()
    (tmp_path / "list").write_bytes(b"nothing of the kind" * 1_000)
    with pytest.raises(UserError, match="is damaged"):
        FileList(tmp_path / "list")
