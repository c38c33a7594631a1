"""Masks by their names and folders: kept, matched with their images, never images themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from fakd_jax.data.masks import read_masks
from fakd_jax.data.scanning import scan_folder
from fakd_jax.data.sources import OWN_MASKS, open_masks
from fakd_jax.data.training_masks import TrainingMasks
from fakd_jax.errors import UserError
from tests.data.layouts.sources import Opener, draw, draw_all

IMAGES = [f"{split}/{kind}/{n}.png" for split in ("train", "test") for kind in "ab" for n in (0, 1)]


@pytest.mark.parametrize(
    ("masks", "of"),
    [
        (["train/a/0_mask.png"], {"train/a/0.png": ("train/a/0_mask.png",)}),
        (["train/a/0-Seg.tif"], {"train/a/0.png": ("train/a/0-Seg.tif",)}),
        (
            ["train/a/0_mask.png", "train/a/0_mask_1.png"],
            {"train/a/0.png": ("train/a/0_mask.png", "train/a/0_mask_1.png")},
        ),
        (["train/a/0_label.png"], {"train/a/0.png": ("train/a/0_label.png",)}),
        (["train/a/masks/0.png"], {"train/a/0.png": ("train/a/masks/0.png",)}),
        (["train/masks/a/0.jpg"], {"train/a/0.png": ("train/masks/a/0.jpg",)}),
        (["labels/train/a/0_mask.png"], {"train/a/0.png": ("labels/train/a/0_mask.png",)}),
        (["masks/train/a/0.png"], {"train/a/0.png": ("masks/train/a/0.png",)}),
        (["train/masks/0.png"], {}),  # of a/0 or of b/0
        (["train/a/7_mask.png"], {}),
    ],
)
def test_a_mask_is_that_of_one_image_or_of_none(
    tmp_path: Path, masks: list[str], of: dict[str, tuple[str, ...]]
) -> None:
    scan = scan_folder(draw_all(tmp_path, [*IMAGES, *masks]))
    assert [image.id for image in scan.images] == sorted(IMAGES)
    assert scan.class_names == ("a", "b")
    assert scan.masks.of == of
    assert len(scan.masks) == len(masks)
    assert scan.strays == ()


def test_a_mask_of_one_image_of_several_has_its_number(tmp_path: Path, opened: Opener) -> None:
    source = draw_all(tmp_path / "data", IMAGES)
    stack = np.random.default_rng(0).integers(0, 256, (5, 12, 10), np.uint8)
    tifffile.imwrite(source / "train/a/x.tif", stack, photometric="minisblack")
    masks = ["masks/train/a/x#1.png", "train/a/x#3_mask.png", "train/labels/x#4.png"]
    draw_all(source, masks)
    (source / "train/a/x_seg.nii.gz").write_bytes(b"a volume")
    dataset = opened(source)
    assert "1 belong to no image or to several, or are no pictures" in opened.logged(
        "kept as masks"
    )
    found = {number: dataset.masks.of(f"train/a/x.tif#{number}") for number in range(5)}
    expected = {1: masks[0], 3: masks[1], 4: masks[2]}
    assert {number: files for number, files in found.items() if files} == {
        number: (source / name,) for number, name in expected.items()
    }
    assert dataset.report["masks"].keys() == {"train/a/x.tif#3", "train/a/x.tif#4"}


def test_a_name_that_only_may_be_a_masks_is_an_images_where_it_stands_alone(tmp_path: Path) -> None:
    odd = ["train/a/left_label.png", "train/a/unmasked.png", "train/a/mask.png"]
    scan = scan_folder(draw_all(tmp_path, [*IMAGES, *odd]))
    assert {image.id for image in scan.images} == {*IMAGES, *odd}


def test_masks_found_with_the_data_are_joined_and_used(tmp_path: Path, opened: Opener) -> None:
    source = draw_all(tmp_path / "data", [*IMAGES, "train/a/0_mask.png"])
    draw(source / "train/a/0_mask_2.png", 5)
    dataset = opened(source)
    line = opened.logged("kept as masks")
    assert line.startswith("data: 2 files are kept as masks, not as images: 1 images have one")
    files = open_masks(OWN_MASKS, dataset).of("train/a/0.png")
    assert [file.name for file in files] == ["0_mask.png", "0_mask_2.png"]
    joined = read_masks(files, (12, 10), 12)
    assert joined[:6].all()
    assert joined[6:].any()  # the second mask is noise
    masks = TrainingMasks(dataset.masks, dataset, dataset.ids("train"), 12)
    assert len(masks) == 1
    index = np.array([dataset.index_of("train/a/0.png")])
    np.testing.assert_array_equal(masks.read(index)[0] > 0, joined)


def test_masks_in_their_own_folder_do_not_change_what_is_prepared(tmp_path: Path) -> None:
    plain = scan_folder(draw_all(tmp_path, IMAGES)).stamp
    mask = draw(tmp_path / "masks/train/a/0.png", mask=True)
    assert scan_folder(tmp_path).stamp == plain
    mask.rename(tmp_path / "train/a/0_masked.png")
    assert scan_folder(tmp_path).stamp != plain


def test_a_class_of_masks_alone_has_no_image(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train/c has no image"):
        scan_folder(draw_all(tmp_path, [*IMAGES, "train/c/0_mask.png"]))
