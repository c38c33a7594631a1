"""Class folders: without split folders, absent from a split, of newer formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakd_jax.data.scanning import scan_folder
from fakd_jax.errors import UserError
from tests.data.layouts.sources import Opener, draw, draw_all


@pytest.mark.parametrize("wrapper", ["", "archive/Data/"])
def test_classes_without_splits_are_read(tmp_path: Path, opened: Opener, wrapper: str) -> None:
    names = [f"{kind}/{number}.png" for kind in ("no", "yes") for number in range(3)]
    source = draw_all(tmp_path / "data", [f"{wrapper}{name}" for name in names])
    (source / wrapper / "docs").mkdir()
    (source / wrapper / "README.txt").write_text("x")
    dataset = opened(source)
    assert dataset.is_unsplit
    assert dataset.counts() == {"unsplit": {"no": 3, "yes": 3}}
    assert dataset.ids("unsplit") == tuple(sorted(names))
    assert dataset.ids("test") == ()
    assert dataset.report["strays"] == ["README.txt"]
    assert "class folders without split folders (no, yes)" in opened.logged("split folders")
    assert dataset.read(0).shape == (12, 10, 3)


def test_a_single_class_can_be_read_for_a_network_that_exists(
    tmp_path: Path, opened: Opener
) -> None:
    source = draw_all(tmp_path / "data", ["glioma/0.png", "glioma/1.png"])
    with pytest.raises(UserError, match="only the class glioma/; at least 2"):
        opened(source)
    dataset = opened(source, class_names=["none", "glioma"])
    assert dataset.class_names == ("none", "glioma")
    assert {example.label for example in dataset.examples} == {1}
    assert opened.logged("absent classes").endswith(": none")


def test_a_split_may_lack_a_class(tmp_path: Path, opened: Opener) -> None:
    source = draw_all(tmp_path / "data", ["train/a/0.png", "train/b/0.png", "test/a/0.png"])
    assert opened(source).counts() == {"train": {"a": 1, "b": 1}, "test": {"a": 1, "b": 0}}
    assert opened.logged("no image of") == "data: no image of b in test"


def test_labels_are_those_of_the_classes_wanted(tmp_path: Path, opened: Opener) -> None:
    source = draw_all(tmp_path / "data", ["test/a/0.png", "test/c/0.png"])
    own = opened(source)
    wanted = opened(source, class_names=["c", "b", "a"])
    assert [example.label for example in own.examples] == [0, 1]
    assert [example.label for example in wanted.examples] == [2, 0]
    assert wanted.counts() == {"test": {"c": 1, "b": 0, "a": 1}}
    assert wanted.fingerprint == own.fingerprint


def test_dicom_is_known_by_suffix_or_content(tmp_path: Path) -> None:
    draw_all(tmp_path, ["test/a/0.png", "test/b/0.png"])
    (tmp_path / "test/a/scan.dcm").write_bytes(b"x")
    for name in ("IM0001", "1.2.840.10008"):
        (tmp_path / "test/b" / name).write_bytes(bytes(128) + b"DICM")
    (tmp_path / "test/b/LICENSE").write_bytes(b"no DICM here")
    scan = scan_folder(tmp_path)
    assert scan.counts() == {"test": {"a": 2, "b": 3}}
    assert scan.strays == ("test/b/LICENSE",)


def test_lfs_pointers_are_named(tmp_path: Path, opened: Opener) -> None:
    source = draw_all(tmp_path / "data", ["test/a/0.png", "test/b/0.png"])
    text = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"
    (source / "test/a/0.png").write_text(text)
    with pytest.raises(UserError, match=r"test/a/0.png \(a Git LFS pointer.*git lfs pull"):
        opened(source)


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["train/images/0.png", "train/labels/0.txt"], "object detection .*Folder Structure"),
        (["images/train/0.png", "labels/train/0.txt"], "object detection"),
        (["train/0.jpg", "train/_annotations.coco.json"], "object detection"),
        (["images/0.jpg", "images/0.xml"], "object detection"),
        (["images/0.png", "masks/0.png"], "its 2 images are in no class folders"),
        (["images/0.png", "labels.csv"], r"give that as the source: .*labels.csv"),
        (["a.zip", "b.zip"], "unpack a.zip, b.zip"),
        (["one/train/a/0.png", "two/train/a/0.png"], "several data sets"),
        (["a/train/0.png", "b/train/0.png"], "class folders into split folders, not the other"),
        (["images/a/0.png", "images/b/0.png", "masks/0.png"], r"give that as the source: .*images"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_helps(
    tmp_path: Path, names: list[str], complaint: str
) -> None:
    for seed, name in enumerate(names):
        if name.endswith((".png", ".jpg")):
            draw(tmp_path / name, seed)
        else:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("0 0.5 0.5 0.1 0.1")
    with pytest.raises(UserError, match=complaint) as error:
        scan_folder(tmp_path)
    assert "\n" not in str(error.value)


def test_boxes_beside_images_in_class_folders_do_not_matter(tmp_path: Path) -> None:
    draw_all(tmp_path, ["train/a/0.png", "train/b/0.png"])
    (tmp_path / "train/a/0.xml").write_text("x")
    assert scan_folder(tmp_path).strays == ("train/a/0.xml",)
