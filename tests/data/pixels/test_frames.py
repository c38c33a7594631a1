from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from fakd_jax.data.pixels import frames, limits
from fakd_jax.data.pixels.frames import frames_in, is_image_file, read_frame, read_picture
from fakd_jax.data.pixels.window import FULL_RANGE, PixelRules, Window
from fakd_jax.errors import UserError
from tests.data.pixels.pictures import encoded, png_of_16_bits

RNG = np.random.default_rng(3)
DEEP = RNG.integers(0, 65_536, (12, 10, 4), dtype=np.uint16)
TWELVE_BITS = RNG.integers(0, 4_096, (12, 10), dtype=np.uint16)
TWELVE_BITS[0, :2] = 0, 4_095
ALL_16_BITS = PixelRules(FULL_RANGE)


def saved(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def eight_bits(levels: np.ndarray, high: float) -> np.ndarray:
    return np.rint(levels.astype(float) * 255 / high).astype(np.uint8)


def test_significant_bits_span_the_range(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png", encoded(Image.fromarray(TWELVE_BITS)))
    picture = read_frame(path, 0)
    np.testing.assert_array_equal(picture[..., 0], eight_bits(TWELVE_BITS, 4_095))
    np.testing.assert_array_equal(picture[..., 0], picture[..., 2])
    assert picture[0, :2, 0].tolist() == [0, 255]


def test_the_full_range_is_mapped_as_by_earlier_versions(tmp_path: Path) -> None:
    levels = np.arange(65_536, dtype=np.uint16).reshape(256, 256)
    path = saved(tmp_path / "a.png", encoded(Image.fromarray(levels)))
    earlier = ((levels.astype(int) + 128) // 257).astype(np.uint8)
    np.testing.assert_array_equal(read_frame(path, 0)[..., 0], earlier)


def test_a_window_is_clipped_and_centred(tmp_path: Path) -> None:
    levels = np.full((9, 9), 5, np.uint16)
    levels[0, :4] = 0, 100, 150, 300
    path = saved(tmp_path / "a.png", encoded(Image.fromarray(levels)))
    picture = read_frame(path, 0, PixelRules(Window("levels", 100, 200)))
    assert picture[0, :4, 0].tolist() == [0, 0, 128, 255]


@pytest.mark.parametrize("channels", [3, 4, 2])
def test_all_16_bits_of_colours_are_read(tmp_path: Path, channels: int) -> None:
    levels = DEEP[..., :channels]
    path = saved(tmp_path / "a.png", png_of_16_bits(levels))
    colours = levels if channels == 3 else levels[..., :-1] * (levels[..., -1:] / 65_535)
    expected = np.broadcast_to(eight_bits(np.rint(colours), 65_535), (12, 10, 3))
    np.testing.assert_array_equal(read_frame(path, 0, ALL_16_BITS), expected)


def test_12_bits_of_colours_are_not_black(tmp_path: Path) -> None:
    levels = np.stack([TWELVE_BITS, TWELVE_BITS // 2, TWELVE_BITS[::-1]], axis=-1)
    path = saved(tmp_path / "a.png", png_of_16_bits(levels))
    np.testing.assert_array_equal(read_frame(path, 0), eight_bits(levels, 4_095))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_tiffs_of_16_bit_colours_are_read_in_both_byte_orders(
    tmp_path: Path, order: str, compression: str | None
) -> None:
    levels, path = DEEP[..., :3], tmp_path / "a.tif"
    tifffile.imwrite(path, levels, photometric="rgb", byteorder=order, compression=compression)
    np.testing.assert_array_equal(read_frame(path, 0, ALL_16_BITS), eight_bits(levels, 65_535))


def test_channels_stored_apart_are_refused_not_misread(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    levels = np.moveaxis(DEEP[..., :3], -1, 0)
    tifffile.imwrite(path, levels, photometric="rgb", planarconfig="separate")
    with pytest.raises(UserError, match=r"16 bits per channel are not read; save it as"):
        read_frame(path, 0)


def test_white_is_zero(tmp_path: Path) -> None:
    for levels, high in ((TWELVE_BITS, 4_095), ((TWELVE_BITS // 16).astype(np.uint8), 255)):
        path = tmp_path / f"{high}.tif"
        tifffile.imwrite(path, levels, photometric="miniswhite")
        expected = 255 - eight_bits(levels, high)
        np.testing.assert_array_equal(read_frame(path, 0)[..., 0], expected)


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int32, np.uint32])
def test_other_units_are_spread_by_percentiles_of_the_file(tmp_path: Path, dtype: type) -> None:
    unsigned = dtype is np.uint32
    values = np.linspace(0 if unsigned else -500, 500, 400).reshape(20, 20)
    levels = (values * 8e6 if unsigned else values).astype(dtype)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, levels)
    low, high = np.percentile(levels, [0.5, 99.5])
    expected = np.rint(np.clip((levels - low) / (high - low), 0, 1) * 255)
    np.testing.assert_allclose(read_frame(path, 0)[..., 0], expected, atol=1)


def test_a_constant_image_is_black_and_not_a_number_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((9, 9), 3.5, np.float32))
    assert not read_frame(path, 0).any()
    tifffile.imwrite(path, np.full((9, 9), np.nan, np.float32))
    with pytest.raises(UserError, match="not finite"):
        read_frame(path, 0)


def stack(path: Path, number: int = 3) -> np.ndarray:
    levels = RNG.integers(0, 256, (number, 12, 10), dtype=np.uint8)
    tifffile.imwrite(path, levels, photometric="minisblack")
    return levels


def test_every_page_of_a_tiff_is_an_image(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    levels = stack(path)
    assert frames_in(path) == 3
    for index in (2, 0, 0, 1):
        picture = read_picture(f"{path}#{index}")
        np.testing.assert_array_equal(picture[..., 1], levels[index])
    with pytest.raises(UserError, match=r"holds 3 images; name one of them, such as .*a\.tif#1$"):
        read_picture(str(path))
    with pytest.raises(UserError, match="there is no number 3"):
        read_picture(f"{path}#3")


def test_thumbnails_of_a_tiff_are_not_images(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(TWELVE_BITS, subfiletype=0)
        writer.write(TWELVE_BITS[::2, ::2], subfiletype=1)
    assert frames_in(path) == 1


def test_a_file_may_have_the_separator_in_its_name(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.png#7", encoded(Image.fromarray(TWELVE_BITS)))
    np.testing.assert_array_equal(read_picture(str(path)), read_frame(path, 0))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_are_refused(tmp_path: Path, kind: str) -> None:
    steps = [Image.fromarray(RNG.integers(0, 256, (9, 9), dtype=np.uint8)) for _ in range(3)]
    content = encoded(steps[0], kind, save_all=True, append_images=steps[1:])
    path = saved(tmp_path / f"a.{kind.lower()}", content)
    with pytest.raises(UserError, match="an animation of 3 frames; save those"):
        read_picture(str(path))


def test_limits_hold_for_every_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((12, 10), np.uint8), contiguous=False)
        writer.write(np.zeros((4, 4), np.uint8), contiguous=False)
    with pytest.raises(UserError, match="4 × 4 pixels is too small"):
        read_frame(path, 1)
    stack(path)
    monkeypatch.setattr(limits, "MAX_FRAMES", 2)
    with pytest.raises(UserError, match="3 images, more than 2; split it"):
        frames_in(path)


def test_heic_needs_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.heic", b"")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UserError, match=r"reading HEIC needs pillow_heif: pip install"):
        frames_in(path)


def test_files_are_known_by_suffix_or_by_magic(tmp_path: Path) -> None:
    magic = saved(tmp_path / "IM0001", bytes(128) + b"DICM")
    index = saved(tmp_path / "DICOMDIR", bytes(128) + b"DICM")
    known = ["a.PNG", "a.tiff", "a.nii.gz", "a.nii", "a.dcm", "a.IMA", "a.heic"]
    assert all(is_image_file(Path(name)) for name in known)
    assert is_image_file(magic)
    assert not is_image_file(index)
    assert not any(is_image_file(tmp_path / name) for name in ("notes.txt", "a.gz", "none"))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # pytest resets the filters of our own
def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.png: there is no such"):
        read_picture(str(tmp_path / "gone.png"))
    saved(tmp_path / "a.tif", b"II*\0 no tiff")
    with pytest.raises(UserError, match=r"a\.tif: "):
        frames_in(tmp_path / "a.tif")
    assert frames.split_frame("a#b#12") == ("a#b", 12)
