"""Each image under all shifts, written and read."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakd_jax.errors import UserError
from fakd_jax.stress.images_file import StressedImage, read_stressed_images, stress_images_csv
from tests.stress.examples import measured
from tests.stress.test_measure import CLASSES, LABELS


def test_an_image_counts_the_shifts_under_which_it_is_right(tmp_path: Path) -> None:
    """By hand from the four shifts; the images as they are, all right, count nothing."""
    groups = {"Testing/4.png": 7, "Testing/5.png": 7}
    file = tmp_path / "stress_images.csv"
    file.write_text(stress_images_csv(measured(CLASSES, LABELS, groups=groups)))
    found = read_stressed_images(file)
    assert [image.right for image in found.values()] == [2, 1, 4, 3, 3, 3]
    assert found["Testing/0.png"] == StressedImage("glioma", "", 4, 2)
    assert found["Testing/5.png"] == StressedImage("pituitary", "7", 4, 3)


HEADER = "id,label,group,conditions,right\n"


@pytest.mark.parametrize("content", ["", "id,label\n", HEADER + "a,b,,4\n", HEADER + "a,b,,4,x\n"])
def test_a_damaged_file_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "stress_images.csv"
    with pytest.raises(UserError, match=r"stress_images\.csv"):
        read_stressed_images(file)
    file.write_text(content)
    with pytest.raises(UserError, match=r"stress_images\.csv"):
        read_stressed_images(file)
