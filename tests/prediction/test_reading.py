"""Files as images of the network's input size, one after the other, errors in their places."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from fakd_jax.data.pixels.frames import read_frame
from fakd_jax.data.pixels.window import PixelRules, Window
from fakd_jax.data.resizing import resize
from fakd_jax.prediction import reading
from fakd_jax.prediction.file_list import ListedFile
from fakd_jax.prediction.reading import Reader, ReadImage, read_chunk, read_images
from tests.prediction.brightness import write_colour

SIDE = 16
RNG = np.random.default_rng(4)
TWELVE_BITS = RNG.integers(0, 4_096, (24, 20), dtype=np.uint16)
DEPTH = PixelRules(Window("levels", 0, 4_095))


def read(*paths: Path, rules: PixelRules = DEPTH, **options: object) -> list[ReadImage]:
    files = (ListedFile(n, str(path), str(path), "") for n, path in enumerate(paths, start=1))
    return [*read_images(files, Reader(rules, SIDE), ahead=3, **options)]


def test_every_image_is_resized_as_in_training(tmp_path: Path) -> None:
    noise = RNG.integers(0, 256, (30, 41, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    (image,) = read(tmp_path / "a.png")
    np.testing.assert_array_equal(image.pixels, resize(noise, SIDE))
    assert (image.frame, image.error, image.quality, image.is_last) == (0, "", None, True)


def test_12_bits_are_shown_by_the_window_of_the_rules(tmp_path: Path) -> None:
    Image.fromarray(TWELVE_BITS // 4).save(tmp_path / "a.png")
    own: list[int] = []
    (image,) = read(tmp_path / "a.png", on_own_window=lambda: own.append(1))
    expected = np.rint((TWELVE_BITS // 4) * 255.0 / 4_095).astype(np.uint8)
    np.testing.assert_array_equal(
        image.pixels, resize(np.repeat(expected[..., None], 3, axis=2), SIDE)
    )
    assert not own
    (image,) = read(tmp_path / "a.png", rules=PixelRules(), on_own_window=lambda: own.append(1))
    assert image.pixels.max() > 2 * expected.max()
    assert own == [1]


def test_a_file_of_several_images_gives_each_with_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = RNG.integers(0, 4_096, (7, 20, 24), dtype=np.uint16)
    path = tmp_path / "pages.tif"
    tifffile.imwrite(path, pages, photometric="minisblack")
    before, after = (write_colour(tmp_path / name, (9, 9, 9)) for name in ("a.png", "z.png"))
    whole = read(before, path, after)
    assert [image.frame for image in whole] == [0, *range(7), 0]
    assert [image.is_last for image in whole] == [True, *[False] * 6, True, True]
    for number, image in enumerate(whole[1:8]):
        expected = resize(read_frame(path, number, DEPTH), SIDE)
        np.testing.assert_array_equal(image.pixels, expected)

    monkeypatch.setattr(reading, "CHUNK_BYTES", 3 * 3 * SIDE**2)  # three images at once
    again = read(before, path, after)
    assert [image[:2] for image in again] == [image[:2] for image in whole]
    assert all((a.pixels == b.pixels).all() for a, b in zip(again, whole, strict=True))
    rest = read(path, after, first_frame=5)
    assert [(image.file.number, image.frame) for image in rest] == [(1, 5), (1, 6), (2, 0)]


def test_percentiles_are_those_of_all_images_of_a_file(tmp_path: Path) -> None:
    pages = np.stack([np.full((20, 20), level, np.uint16) for level in (0, 1_000, 4_000)])
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack")
    images = read(tmp_path / "a.tif", rules=PixelRules(Window("percentiles", 0, 100)))
    assert [int(image.pixels[0, 0, 0]) for image in images] == [0, 64, 255]


def test_what_cannot_be_read_is_an_error_in_its_place(tmp_path: Path) -> None:
    good = write_colour(tmp_path / "good.png", (1, 2, 3))
    text, cut, tiny, pointer, pipe = (
        tmp_path / name for name in ("text.png", "cut.png", "tiny.png", "pointer.png", "pipe.png")
    )
    text.write_text("not an image")
    noise = RNG.integers(0, 256, (50, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(cut)
    cut.write_bytes(cut.read_bytes()[:3_000])
    write_colour(tiny, (0, 0, 0), size=4)
    pointer.write_text("version https://git-lfs.github.com/spec/v1\n")
    os.mkfifo(pipe)
    none = (tmp_path, tmp_path / "missing.png", Path("a\0.png"), Path("a" * 300 + ".png"))
    broken = (text, cut, tiny, pointer, pipe, *none)
    images = read(*(path for bad in broken for path in (bad, good)))
    assert [image.pixels is None for image in images] == [True, False] * len(broken)
    errors = [image.error for image in images[::2]]
    assert errors[0] == "not an image file of a known format"
    assert errors[1].startswith("broken image file")
    assert errors[2].startswith("4 × 4 pixels is too small")
    assert errors[3].startswith("a Git LFS pointer")
    assert errors[4:7] == [
        "not a regular file",
        "a folder in place of a file",
        "there is no such file",
    ]
    assert errors[7].startswith("cannot be read")
    assert errors[8] == "cannot be read: File name too long"
    assert {image.frame for image in images[2::2]} <= {None, 0}


def test_one_broken_image_of_a_file_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "pages.tif"
    noise = [RNG.integers(0, 256, (40, 40), dtype=np.uint8) for _ in range(3)]
    first, *others = (Image.fromarray(page) for page in noise)
    first.save(path, save_all=True, append_images=others, compression="tiff_adobe_deflate")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        start, count = tiff.pages[1].dataoffsets[0], tiff.pages[1].databytecounts[0]
    content[start : start + count] = bytes(count)
    path.write_bytes(content)
    images = read(path)
    assert [bool(image.error) for image in images] == [False, True, False]
    assert [image.frame for image in images] == [0, 1, 2]


def test_a_file_that_shrank_since_is_an_error(tmp_path: Path) -> None:
    path = write_colour(tmp_path / "a.png", (1, 1, 1))
    (image,) = read_chunk(Reader(DEPTH, SIDE), ListedFile(1, "a.png", str(path), ""), 5).images
    assert "fewer images" in image.error
    assert image.is_last


def test_quality_is_that_of_the_picture_at_its_own_size(tmp_path: Path) -> None:
    path = write_colour(tmp_path / "a.png", (1, 1, 1), size=33)
    reader = Reader(DEPTH, SIDE, lambda pictures: [f"{p.shape[0]} pixels" for p in pictures])
    files = iter([ListedFile(1, str(path), str(path), "")])
    (image,) = read_images(files, reader, ahead=1)
    assert image.quality == "33 pixels"


def test_few_files_are_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    path = str(write_colour(tmp_path / "a.png", (1, 1, 1)))
    drawn: list[int] = []
    files = (drawn.append(n) or ListedFile(n, path, path, "") for n in range(1, 1_000))
    images = read_images(files, Reader(DEPTH, SIDE), ahead=10)
    for taken in range(1, 4):
        assert next(images).file.number == taken
        assert len(drawn) <= taken + 10
    images.close()


def test_dicom_shows_its_own_window(tmp_path: Path) -> None:
    pytest.importorskip("pydicom", reason="needs the extra `dicom`")
    from tests.data.pixels.test_dicom import write

    levels = np.stack([TWELVE_BITS, TWELVE_BITS // 2])
    path = write(tmp_path / "IM0001", levels, WindowCenter=1_024, WindowWidth=2_048)
    images = read(path)
    assert [image.frame for image in images] == [0, 1]
    for number, image in enumerate(images):
        expected = resize(read_frame(path, number, DEPTH), SIDE)
        np.testing.assert_array_equal(image.pixels, expected)
    path.write_bytes(path.read_bytes()[:300])
    (image,) = read(path)
    assert image.error
    assert "Doe" not in image.error


def test_volumes_are_cut_as_the_rules_say(tmp_path: Path) -> None:
    pytest.importorskip("nibabel", reason="needs the extra `nifti`")
    from tests.data.pixels.test_nifti import DEPTH as WINDOW
    from tests.data.pixels.test_nifti import HEAD, write

    path = write(tmp_path / "head.nii.gz", HEAD)
    lengths = {
        axis: len(read(path, rules=PixelRules(WINDOW, axis)))
        for axis in ("axial", "coronal", "sagittal")
    }
    assert lengths == {"axial": 11, "coronal": 10, "sagittal": 9}
