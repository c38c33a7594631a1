import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from fakd_jax.data.pixels import raster
from fakd_jax.data.pixels.limits import MAX_PIXELS, MIN_SIDE
from fakd_jax.data.pixels.raster import RasterFile, decode_rgb
from fakd_jax.errors import UserError


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return buffer.getvalue()


@pytest.fixture
def grey() -> np.ndarray:
    return np.arange(12 * 20, dtype=np.uint8).reshape(12, 20)


@pytest.fixture
def rgb(grey: np.ndarray) -> np.ndarray:
    return np.stack([grey, grey[::-1], 255 - grey], axis=-1)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_rgb_comes_back_unchanged(rgb: np.ndarray, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    decoded = decode_rgb(encoded(Image.fromarray(rgb), kind, **options), "x")
    np.testing.assert_array_equal(decoded, rgb)
    assert decoded.dtype == np.uint8
    assert decoded.flags.writeable


def test_path_and_bytes_decode_alike(rgb: np.ndarray, tmp_path: Path) -> None:
    content = encoded(Image.fromarray(rgb), "JPEG")
    (tmp_path / "a.jpg").write_bytes(content)
    np.testing.assert_array_equal(decode_rgb(tmp_path / "a.jpg", "a"), decode_rgb(content, "a"))


def test_grey_fills_all_channels(grey: np.ndarray) -> None:
    decoded = decode_rgb(encoded(Image.fromarray(grey)), "x")
    np.testing.assert_array_equal(decoded, np.repeat(grey[..., None], 3, axis=-1))


def test_transparency_shows_black(rgb: np.ndarray) -> None:
    alpha = np.zeros(rgb.shape[:2], np.uint8)
    alpha[:, 5:10], alpha[:, 10:] = 128, 255
    decoded = decode_rgb(encoded(Image.fromarray(np.dstack([rgb, alpha]))), "x")
    assert not decoded[:, :5].any()
    np.testing.assert_allclose(decoded[:, 5:10], rgb[:, 5:10] * (128 / 255), atol=1)
    np.testing.assert_array_equal(decoded[:, 10:], rgb[:, 10:])


def test_grey_with_alpha_shows_black(grey: np.ndarray) -> None:
    image = Image.fromarray(np.dstack([grey, np.where(grey > 99, 255, 0).astype(np.uint8)]), "LA")
    decoded = decode_rgb(encoded(image), "x")
    np.testing.assert_array_equal(decoded[..., 1], np.where(grey > 99, grey, 0))


@pytest.mark.parametrize("transparency", [7, bytes([255] * 7 + [0] + [255] * 248)])
def test_transparent_palette_entry_shows_black(grey: np.ndarray, transparency: int | bytes) -> None:
    image = Image.fromarray(grey, "L").convert("P")
    image.putpalette([value for level in range(256) for value in (level, 255 - level, 9)])
    decoded = decode_rgb(encoded(image, transparency=transparency), "x")
    expected = np.stack([grey, 255 - grey, np.full_like(grey, 9)], axis=-1)
    expected[grey == 7] = 0
    np.testing.assert_array_equal(decoded, expected)


def test_black_and_white_spans_the_range(grey: np.ndarray) -> None:
    decoded = decode_rgb(encoded(Image.fromarray(grey > 99)), "x")
    np.testing.assert_array_equal(decoded[..., 0], np.where(grey > 99, 255, 0))


def test_cmyk_becomes_rgb() -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    decoded = decode_rgb(encoded(image, "TIFF"), "x")
    np.testing.assert_array_equal(decoded, np.full((16, 16, 3), (255, 0, 0)))


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.swapaxes(0, 1)),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: np.rot90(a, 2).swapaxes(0, 1)),
        (8, lambda a: np.rot90(a)),
    ],
)
def test_exif_orientation_is_applied(
    rgb: np.ndarray, grey: np.ndarray, orientation: int, upright: Any, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode_rgb(encoded(Image.fromarray(rgb), exif=exif), "x")
    np.testing.assert_array_equal(decoded, upright(rgb))
    # Pillow maps TIFFs of these kinds into memory when it opens them by name.
    for levels in (grey, grey.astype(np.uint16) * 200):
        file = tmp_path / "a.tif"
        Image.fromarray(levels).save(file, tiffinfo={0x0112: orientation})
        read = RasterFile(file, "x").read(0).levels
        np.testing.assert_array_equal(read[..., 0] if read.ndim == 3 else read, upright(levels))


def test_pages_are_limited_together_without_their_thumbnails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raster, "MAX_VOXELS", 20 * 20 + 16 * 16)
    with tifffile.TiffWriter(tmp_path / "pyramid.tif") as file:
        file.write(np.zeros((20, 20), np.uint8))
        for side in (16, 12, 10):
            file.write(np.zeros((side, side), np.uint8), subfiletype=1)
    assert len(RasterFile(tmp_path / "pyramid.tif", "x")) == 1
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((2, 20, 20), np.uint8), photometric=1)
    with pytest.raises(UserError, match="x: its pages hold more than 656 pixels"):
        RasterFile(tmp_path / "stack.tif", "x")


def test_signed_bytes_are_not_taken_for_unsigned(tmp_path: Path) -> None:
    levels = np.arange(-128, 128, dtype=np.int8).reshape(16, 16)
    Image.fromarray(levels.view(np.uint8)).save(tmp_path / "a.tif", tiffinfo={339: 2})
    frame = RasterFile(tmp_path / "a.tif", "x").read(0)
    np.testing.assert_array_equal(frame.levels, levels)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("kept", [0, 3, 0.1, 0.5, 0.9])
def test_truncated_file_is_named(rgb: np.ndarray, kind: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise), kind)
    cut = content[: kept if isinstance(kept, int) else int(kept * len(content))]
    with pytest.raises(UserError, match=r"^Testing/glioma/a\.png: "):
        decode_rgb(cut, "Testing/glioma/a.png")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # pytest resets the filters of our own
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP"])
def test_flipped_bytes_decode_or_raise_a_user_error(rgb: np.ndarray, kind: str) -> None:
    rng = np.random.default_rng(0)
    content = encoded(Image.fromarray(rgb), kind)
    for _ in range(60):
        damaged = np.frombuffer(content, np.uint8).copy()
        damaged[rng.integers(0, len(damaged), 3)] = rng.integers(0, 256, 3)
        try:
            said = f"x: {decode_rgb(damaged.tobytes(), 'x').shape}"
        except UserError as error:
            said = str(error)
        assert said.startswith("x: ")
        assert "\n" not in said


def test_other_files_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("patient 12")
    with pytest.raises(UserError, match=r"notes\.jpg: not an image"):
        decode_rgb(tmp_path / "notes.jpg", "notes.jpg")
    with pytest.raises(UserError, match="gone: there is no such"):
        decode_rgb(tmp_path / "gone.png", "gone")
    with pytest.raises(UserError, match="folder: "):
        decode_rgb(tmp_path, "folder")


@pytest.mark.parametrize("size", [(1, 1), (MIN_SIDE - 1, 100), (100, MIN_SIDE - 1)])
def test_too_small_images_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(UserError, match=rf"dot: {size[0]} × {size[1]} pixels is too small"):
        decode_rgb(encoded(Image.new("L", size)), "dot")
    decode_rgb(encoded(Image.new("L", (MIN_SIDE, MIN_SIDE))), "x")


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises many pixels, without them."""
    import struct
    import zlib

    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    end = b"IEND"
    chunks = [header, b"IDAT" + zlib.compress(b"0"), end]
    body = b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def test_huge_images_are_refused_before_decoding(tmp_path: Path) -> None:
    """In a process of its own: pytest resets the warning filters that hush Pillow."""
    heights = (MAX_PIXELS // 1000 + 1, 90_000, 200_000, 4_000_000)
    for height in heights:
        (tmp_path / f"{height}.png").write_bytes(bomb(1000, height))
    program = (
        "import sys, pathlib\n"
        "from fakd_jax.data.pixels.raster import decode_rgb\n"
        "from fakd_jax.errors import UserError\n"
        "for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try: decode_rgb(file, file.name)\n"
        "    except UserError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True
    )
    assert done.stderr == ""
    assert done.stdout.count(f"more than {MAX_PIXELS:,} pixels; scale it down") == len(heights)
