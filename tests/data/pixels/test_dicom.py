from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom", reason="needs the extra `dicom`")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.uid import (  # noqa: E402
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from fakd_jax.data.pixels.dicom import DicomFile  # noqa: E402
from fakd_jax.data.pixels.frames import frames_in, read_frame  # noqa: E402
from fakd_jax.data.pixels.window import PixelRules, Window  # noqa: E402
from fakd_jax.errors import UserError  # noqa: E402

RNG = np.random.default_rng(5)
TWELVE_BITS = RNG.integers(0, 4_096, (40, 36), dtype=np.uint16)
TWELVE_BITS[0, :2] = 0, 4_095
EVERY_LEVEL = PixelRules(Window("levels", 0, 4_095))
UNITS = np.linspace(-1024, 1023, 40 * 36).astype(int).reshape(40, 36)
SECRET = "Doe^Jane"


def write(
    path: Path,
    levels: np.ndarray,
    *,
    bits: int = 12,
    syntax: str = ExplicitVRLittleEndian,
    **more: Any,
) -> Path:
    """Writes `[frames,] H, W[, 3]` as DICOM with further elements."""
    colour = levels.shape[-1] == 3 and levels.ndim > 2
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.SOPClassUID = header.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    header.PatientName = SECRET
    frames = levels if levels.ndim == 3 + colour else levels[None]
    header.Rows, header.Columns = frames.shape[1:3]
    if len(frames) > 1:
        header.NumberOfFrames = len(frames)
    header.SamplesPerPixel = 3 if colour else 1
    header.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        header.PlanarConfiguration = 0
    header.BitsAllocated = levels.dtype.itemsize * 8
    header.BitsStored, header.HighBit = bits, bits - 1
    header.PixelRepresentation = int(levels.dtype.kind == "i")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    header.PixelData = frames.astype(levels.dtype.newbyteorder(order)).tobytes()
    header["PixelData"].VR = "OW"
    for keyword, value in more.items():
        setattr(header, keyword, value)
    uncompressed = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
    if syntax not in uncompressed:
        header.compress(syntax, generate_instance_uid=False)
    header.file_meta.TransferSyntaxUID = syntax
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    pydicom.dcmwrite(
        path, header, enforce_file_format=True, implicit_vr=implicit, little_endian=little
    )
    return path


def grey(path: Path, index: int = 0, rules: PixelRules = EVERY_LEVEL) -> np.ndarray:
    picture = read_frame(path, index, rules)
    np.testing.assert_array_equal(picture[..., 0], picture[..., 2])
    return picture[..., 0]


def eight_bits(levels: np.ndarray, high: float = 4_095) -> np.ndarray:
    return np.rint(np.clip(levels / high, 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        RLELossless,
        JPEG2000Lossless,
        JPEGLSLossless,
    ],
    ids=lambda syntax: syntax.name,
)
def test_12_bits_come_back_exactly(tmp_path: Path, syntax: Any) -> None:
    if syntax.is_compressed and not pydicom.pixels.get_encoder(syntax).is_available:
        pytest.skip(f"no encoder of {syntax.name}")
    path = write(tmp_path / "a.dcm", TWELVE_BITS, syntax=syntax)
    np.testing.assert_array_equal(DicomFile(path, "a").read(0).levels, TWELVE_BITS)
    np.testing.assert_array_equal(grey(path), eight_bits(TWELVE_BITS))


def test_the_significant_bits_of_a_file_suffice(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", TWELVE_BITS)
    np.testing.assert_array_equal(grey(path, rules=PixelRules()), eight_bits(TWELVE_BITS))


def test_monochrome1_is_turned_around(tmp_path: Path) -> None:
    inverse = {"PhotometricInterpretation": "MONOCHROME1"}
    path = write(tmp_path / "a.dcm", TWELVE_BITS, **inverse)
    np.testing.assert_array_equal(grey(path), 255 - eight_bits(TWELVE_BITS))
    path = write(tmp_path / "b.dcm", (TWELVE_BITS // 16).astype(np.uint8), bits=8, **inverse)
    np.testing.assert_array_equal(grey(path), 255 - TWELVE_BITS // 16)
    path = write(tmp_path / "c.dcm", TWELVE_BITS, WindowCenter=2048, WindowWidth=4096, **inverse)
    np.testing.assert_array_equal(grey(path), 255 - eight_bits(TWELVE_BITS))


def test_values_are_rescaled(tmp_path: Path) -> None:
    stored = (UNITS + 1024).astype(np.uint16)
    path = write(tmp_path / "a.dcm", stored, RescaleSlope=1, RescaleIntercept=-1024)
    np.testing.assert_array_equal(DicomFile(path, "a").read(0).levels, UNITS)
    wanted = PixelRules(Window("levels", -512, 512, own_first=False))
    expected = eight_bits(UNITS + 512, 1_024)
    np.testing.assert_array_equal(grey(path, rules=wanted), expected)
    path = write(tmp_path / "b.dcm", stored, RescaleSlope=0.5, RescaleIntercept=1)
    np.testing.assert_array_equal(DicomFile(path, "b").read(0).levels, stored * 0.5 + 1)
    path = write(tmp_path / "c.dcm", UNITS.astype(np.int16), bits=16)
    np.testing.assert_array_equal(DicomFile(path, "c").read(0).levels, UNITS)


WINDOWS = {
    "LINEAR": lambda x: (x - (40 - 0.5)) / (400 - 1) + 0.5,
    "LINEAR_EXACT": lambda x: (x - 40) / 400 + 0.5,
    "SIGMOID": lambda x: 1 / (1 + np.exp(-4 * (x - 40) / 400)),
}


@pytest.mark.parametrize("function", WINDOWS)
def test_the_window_of_a_file_goes_first(tmp_path: Path, function: str) -> None:
    stored = (UNITS + 1024).astype(np.uint16)
    path = write(
        tmp_path / "a.dcm",
        stored,
        RescaleSlope=1,
        RescaleIntercept=-1024,
        WindowCenter=[40, 600],
        WindowWidth=[400, 2800],
        VOILUTFunction=function,
    )
    expected = eight_bits(WINDOWS[function](UNITS.astype(float)), 1)
    for rules in (PixelRules(), EVERY_LEVEL):
        np.testing.assert_array_equal(grey(path, rules=rules), expected)
    given = PixelRules(Window("levels", -1024, 1024, own_first=False))
    np.testing.assert_array_equal(grey(path, rules=given), eight_bits(UNITS + 1024, 2_048))
    given = PixelRules(Window("percentiles", 0, 100, own_first=False))
    np.testing.assert_array_equal(grey(path, rules=given), eight_bits(UNITS + 1024, 2_047))


def test_a_window_without_width_is_none(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", TWELVE_BITS, WindowCenter=40, WindowWidth=0)
    np.testing.assert_array_equal(grey(path), eight_bits(TWELVE_BITS))


def test_a_table_is_looked_up(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor = [4_096, 0, 10]
    table.add_new("LUTData", "US", [(4_095 - level) // 4 for level in range(4_096)])
    path = write(tmp_path / "a.dcm", TWELVE_BITS, VOILUTSequence=[table])
    expected = eight_bits((4_095 - TWELVE_BITS) // 4, 1_023)
    np.testing.assert_array_equal(grey(path), expected)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless], ids=["plain", "RLE"])
def test_every_frame_has_its_own_window(tmp_path: Path, syntax: Any) -> None:
    levels = np.stack([TWELVE_BITS, TWELVE_BITS[::-1], TWELVE_BITS // 2])
    groups = []
    for number in range(3):
        window, group = Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth = 500 * (number + 1), 1_000
        group.FrameVOILUTSequence = [window]
        groups.append(group)
    more = {"PerFrameFunctionalGroupsSequence": groups} if syntax == ExplicitVRLittleEndian else {}
    path = write(tmp_path / "a.dcm", levels, syntax=syntax, **more)
    assert frames_in(path) == 3
    for index in range(3):
        expected = eight_bits(levels[index])
        if more:
            fraction = (levels[index] - (500 * (index + 1) - 0.5)) / 999 + 0.5
            expected = eight_bits(fraction, 1)
        np.testing.assert_array_equal(grey(path, index), expected)


def test_colours_come_back(tmp_path: Path) -> None:
    colours = RNG.integers(0, 256, (40, 36, 3), dtype=np.uint8)
    path = write(tmp_path / "a.dcm", colours, bits=8)
    np.testing.assert_array_equal(read_frame(path, 0), colours)
    path = write(tmp_path / "b.dcm", colours, bits=8, PhotometricInterpretation="YBR_FULL")
    from PIL import Image

    as_jpeg = np.asarray(Image.fromarray(colours, "YCbCr").convert("RGB"))
    np.testing.assert_allclose(read_frame(path, 0).astype(int), as_jpeg, atol=1)


def test_bits_beyond_those_stored_are_none_of_the_image(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", TWELVE_BITS | np.uint16(0x8000))
    np.testing.assert_array_equal(grey(path), eight_bits(TWELVE_BITS))


def test_files_without_suffix_or_preamble_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "IM0001", TWELVE_BITS)
    np.testing.assert_array_equal(grey(path), eight_bits(TWELVE_BITS))
    bare = tmp_path / "a.dcm"
    header = pydicom.dcmread(path)
    header.file_meta = FileMetaDataset()
    pydicom.dcmwrite(bare, header, implicit_vr=True, little_endian=True)
    np.testing.assert_array_equal(grey(bare), eight_bits(TWELVE_BITS))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def without_image(path: Path) -> None:
    header = pydicom.dcmread(path)
    del header.PixelData
    header.save_as(path)


def of_another_syntax(path: Path, syntax: str) -> None:
    header = pydicom.dcmread(path)
    header.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    header["PixelData"].is_undefined_length = True
    header.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(path, header)


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (cut, "broken or incomplete DICOM file"),
        (without_image, "a DICOM file without an image; leave it out"),
        (lambda path: path.write_text(f"{SECRET} is no DICOM"), "DICOM file"),
        (lambda path: of_another_syntax(path, JPEGLosslessSV1), "need a decoder: pip install"),
        (lambda path: of_another_syntax(path, "1.2.840.10008.1.2.4.102"), "are not read; save"),
        (lambda path: of_another_syntax(path, "1.2.840.10008.1.2.1.99"), "deflated"),
    ],
)
def test_unusable_files_are_named_without_the_patient(
    tmp_path: Path, capfd: Any, caplog: Any, spoil: Any, complaint: str
) -> None:
    path = write(tmp_path / "a.dcm", TWELVE_BITS)
    spoil(path)
    with caplog.at_level(logging.DEBUG), pytest.raises(UserError, match=complaint) as raised:
        read_frame(path, 0)
    said = f"{raised.value} {capfd.readouterr()} {caplog.text}"
    assert SECRET not in said
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_pixels_that_would_unpack_to_another_size_are_refused(tmp_path: Path, syntax: Any) -> None:
    if not pydicom.pixels.get_encoder(syntax).is_available:
        pytest.skip(f"no encoder of {syntax.name}")
    path = write(tmp_path / "a.dcm", np.tile(TWELVE_BITS, (2, 2)), syntax=syntax)
    header = pydicom.dcmread(path)
    header.Rows, header.Columns = 12, 10
    header.save_as(path)
    with pytest.raises(UserError, match="its pixels are not of the size that it states"):
        read_frame(path, 0)


def test_huge_images_are_refused_before_decoding(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", TWELVE_BITS)
    header = pydicom.dcmread(path)
    header.Rows = header.Columns = 60_000
    header.save_as(path)
    with pytest.raises(UserError, match=r"60000 × 60000 is more than 64,000,000 pixels"):
        frames_in(path)
    header.Rows, header.Columns, header.NumberOfFrames = 12, 10, 10**6
    header.save_as(path)
    with pytest.raises(UserError, match=r"1,000,000 images, more than"):
        frames_in(path)
