"""Lesion masks, brought to the network's input size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakd_jax.data.mask_files import MaskFiles
from fakd_jax.data.masks import read_mask
from fakd_jax.errors import UserError


def test_a_pixel_is_lesion_if_half_of_it_is_and_small_lesions_are_kept(tmp_path: Path) -> None:
    drawn = np.zeros((8, 8), np.uint8)
    for rows, columns, expected in (
        (slice(0, 4), slice(0, 3), [[1, 1, 0, 0], [1, 1, 0, 0]]),
        (slice(1, 2), slice(5, 6), [[0, 0, 1, 0], [0, 0, 0, 0]]),
        (slice(0, 0), slice(0, 0), [[0, 0, 0, 0], [0, 0, 0, 0]]),
    ):
        drawn[:] = 0
        drawn[rows, columns] = 255
        Image.fromarray(drawn).save(tmp_path / "mask.png")
        found = read_mask(tmp_path / "mask.png", (8, 8), 4)
        np.testing.assert_array_equal(found[:2], expected)
        assert not found[2:].any()
    with pytest.raises(UserError, match="same size"):
        read_mask(tmp_path / "mask.png", (8, 9), 4)


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_a_dark_colour_is_lesion_too(tmp_path: Path, mode: str) -> None:
    drawn = np.zeros((8, 8, 3), np.uint8)
    drawn[2:4, 2:4] = (0, 0, 1)
    picture = Image.fromarray(drawn)
    (picture if mode == "RGB" else picture.quantize(2)).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", (8, 8), 8).sum() == 4


def test_damaged_and_huge_masks_are_user_errors(tmp_path: Path) -> None:
    file = tmp_path / "mask.bmp"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(file)
    picture = file.read_bytes()
    huge = picture[:18] + (32_768).to_bytes(4, "little") * 2 + picture[26:]
    for content in (b"not an image", picture[:-9], huge):
        file.write_bytes(content)
        with pytest.raises(UserError, match="cannot read the mask"):
            read_mask(file, (8, 8), 4)


def test_a_mask_of_one_image_of_several_has_its_number(tmp_path: Path) -> None:
    for name in ("a#3.png", "b.nii#12.png", "c.png"):
        (tmp_path / name).touch()
    masks = MaskFiles(tmp_path, {"d.tif": (tmp_path / "e.png",)})
    assert masks.of("a.tif#3") == (tmp_path / "a#3.png",)
    assert masks.of("a.tif#4") == masks.of("d.tif#0") == ()
    assert masks.of("b.nii.gz#12") == (tmp_path / "b.nii#12.png",)
    assert masks.of("c.jpg") == (tmp_path / "c.png",)
    assert masks.of("d.tif") == (tmp_path / "e.png",)
