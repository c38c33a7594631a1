from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from fakd_jax.data.scanning import scan_folder
from fakd_jax.errors import UserError


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("Training", "Testing"), ("train", "test")),
        (("train", "val", "test"), ("train", "val", "test")),
        (("TRAIN", "Valid", "Test"), ("train", "val", "test")),
        (("training", "validation", "testing"), ("train", "val", "test")),
        (("Testing",), ("test",)),
    ],
)
def test_names_of_split_folders_are_known_in_any_case(make_tree, names, splits):
    root = make_tree({f"{name}/{kind}": 2 for name in names for kind in ("yes", "no")})
    scan = scan_folder(root)
    assert scan.split_folders == dict(zip(splits, names, strict=True))
    assert scan.class_names == ("no", "yes")
    assert scan.counts() == {split: {"no": 2, "yes": 2} for split in splits}
    assert scan.images[0].id == f"{min(names)}/no/000.png"
    assert [image.id for image in scan.images] == sorted(image.id for image in scan.images)


def test_wrapping_folders_do_not_matter_to_the_ids(make_tree):
    counts = {"Training/a": 1, "Testing/a": 1}
    plain = scan_folder(make_tree(counts))
    wrapped_root = make_tree({f"data/images/{name}": n for name, n in counts.items()}, "wrapped")
    (wrapped_root / "__MACOSX").mkdir()
    wrapped = scan_folder(wrapped_root)
    assert [image.id for image in wrapped.images] == [image.id for image in plain.images]


def test_images_in_folders_below_a_class_belong_to_it(make_tree):
    root = make_tree({"Training/a/patient1": 2, "Training/a/patient2": 1, "Testing/a": 1})
    scan = scan_folder(root)
    assert scan.counts() == {"train": {"a": 3}, "test": {"a": 1}}
    assert scan.images[1].id == "Training/a/patient1/000.png"


def test_strays_are_named_and_masks_are_left_alone(small_tree: Path):
    strays = [
        "README.md",
        "SHA256SUMS",
        "Training/counts.json",
        "Training/a/Thumbs.db",
        "Training/a/._000.png",
        "Training/__MACOSX/x/000.png",
        "Training/a/scan.mha",
        "other/000.png",
    ]
    for stray in [*strays, "masks/Training/a/000.png"]:
        (small_tree / stray).parent.mkdir(parents=True, exist_ok=True)
        (small_tree / stray).write_bytes(b"x")
    scan = scan_folder(small_tree)
    assert scan.strays == tuple(sorted(strays))
    assert len(scan.images) == 10


@pytest.mark.parametrize(
    ("counts", "complaint"),
    [
        ({}, "no split folders"),
        ({"glioma": 0, "notumor": 0}, "it holds glioma/, notumor/; the layout expected is"),
        ({".": 2}, "its 2 images are in no class folders"),
        ({"Training": 2, "Testing/a": 1}, "Training has no class folders"),
        ({"Training/a": 1, "train/a": 1}, "both Training/ and train/"),
        ({"Training/a": 1, "Training/b": 0, "Testing/a": 1, "Testing/b": 1}, "Training/b has no"),
        (
            {"first/train/a": 1, "second/test/a": 1},
            "inside first/, second/; .* several data sets",
        ),
    ],
)
def test_other_layouts_are_refused_with_the_reason(tmp_path, counts, complaint):
    for folder, number in counts.items():
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        for index in range(number):
            (tmp_path / folder / f"{index}.png").write_bytes(b"x")
    with pytest.raises(UserError) as error:
        scan_folder(tmp_path)
    assert re.search(complaint, str(error.value))
    assert "\n" not in str(error.value)


def test_a_class_folder_of_strays_only_is_empty(small_tree: Path):
    (small_tree / "Testing/b/000.png").rename(small_tree / "Testing/b/000.txt")
    with pytest.raises(UserError, match=r"Testing/b has no image"):
        scan_folder(small_tree)


def test_the_stamp_changes_with_every_change_and_only_then(small_tree: Path):
    stamp = scan_folder(small_tree).stamp
    assert scan_folder(small_tree).stamp == stamp
    file = small_tree / "Training/a/000.png"
    status = file.stat()
    file.write_bytes(file.read_bytes()[::-1])  # same size, and the old time is put back
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    changed = scan_folder(small_tree).stamp
    assert changed != stamp
    (small_tree / "notes.txt").write_text("new")
    assert scan_folder(small_tree).stamp != changed


def test_links_are_followed_but_not_in_a_circle(make_tree):
    elsewhere = make_tree({"a": 2}, "elsewhere")
    root = make_tree({"Training/b": 1, "Testing/a": 1, "Testing/b": 1})
    (root / "Training/a").symlink_to(elsewhere / "a")
    (elsewhere / "a" / "again").symlink_to(elsewhere / "a")
    (root / "Training/b/lost.png").symlink_to(root / "nowhere.png")
    scan = scan_folder(root)
    assert scan.counts()["train"] == {"a": 2, "b": 2}  # what is lost is found out on reading


def test_a_folder_that_cannot_be_read_is_named(small_tree: Path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(UserError, match="Permission denied"):
        scan_folder(small_tree)
