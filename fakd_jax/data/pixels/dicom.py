"""DICOM files: grey levels in their own units, and the picture by the window that a file states.

Of the header only what describes the pixels is used; nothing of it is logged or stored.
"""

from __future__ import annotations

import functools
import logging
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float64, Shaped, UInt8

from fakd_jax.data.pixels.codestream import coded_size
from fakd_jax.data.pixels.frame import Frame
from fakd_jax.data.pixels.limits import require_frames, require_size, without_details
from fakd_jax.errors import UserError
from fakd_jax.runtime.extras import import_extra

SUFFIXES = frozenset({".dcm", ".dicom", ".ima"})

_PREAMBLE_BYTES, _MAGIC = 128, b"DICM"
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_GREY = ("MONOCHROME1", "MONOCHROME2")
_DEFLATED = "1.2.840.10008.1.2.1.99"
_RLE = "1.2.840.10008.1.2.5"
_LOSSLESS_JPEG = ("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70")
_RLE_OVERHEAD = 1.1  # what run lengths add to noise, and some more


def has_magic(path: Path) -> bool:
    """Whether a file begins as DICOM does; False if it cannot be read."""
    try:
        if not path.is_file():  # a named pipe would wait for a writer
            return False
        with path.open("rb") as file:
            return file.read(_PREAMBLE_BYTES + len(_MAGIC))[_PREAMBLE_BYTES:] == _MAGIC
    except OSError:
        return False


@functools.cache
def _pydicom() -> ModuleType:
    """The library, which would log what it finds odd, values included."""
    pydicom = import_extra("pydicom", "dicom", "reading DICOM")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    warnings.filterwarnings("ignore", module=r"pydicom\.")  # once: files are read in threads
    return pydicom


class DicomFile:
    """A DICOM file with one or more images.

    Args:
      path: the file; those with a suffix of `SUFFIXES` may lack the preamble.
      name: its name in errors.

    Raises:
      UserError: the extra is missing, or the file is broken, without an image, too large or too
        small, or compressed in a way that no installed decoder reads.
    """

    def __init__(self, path: Path, name: str) -> None:
        pydicom = _pydicom()
        self._name = name
        with without_details(name, "DICOM"):
            if path.is_file() and _syntax_of(path) == _DEFLATED:
                raise UserError(
                    f"{name}: a deflated DICOM file, whose size is unknown until it is unpacked; "
                    "save it uncompressed"
                )
            header = pydicom.dcmread(path, force=True)
            if not any(keyword in header for keyword in _PIXELS):
                raise UserError(f"{name}: a DICOM file without an image; leave it out")
            self._header = header
            self._number = int(header.get("NumberOfFrames") or 1)
            self._size = (int(header.Columns), int(header.Rows))
            self._syntax = _syntax_of_header(header)
            require_size(self._size, name)
            require_frames(self._number, name)
            self._require_decoder()

    def __len__(self) -> int:
        return self._number

    def close(self) -> None:
        """Nothing is open: the file has been read."""

    def read(self, index: int) -> Frame:
        """Decodes an image; see :class:`fakd_jax.data.pixels.frame.PixelFile`."""
        with without_details(self._name, "DICOM"):
            if self._syntax.is_compressed:
                self._require_honest_size(index)
            pixels = _pydicom().pixels.pixel_array(self._header, index=index)
            photometric = str(self._header.PhotometricInterpretation)
            bits = self._header.get("BitsStored", self._header.BitsAllocated)
            mode = f"DICOM {bits}-bit {photometric}"
            if photometric in _GREY:
                return self._grey(pixels, index, mode, inverted=photometric == "MONOCHROME1")
            if photometric == "PALETTE COLOR":
                pixels = _pydicom().pixels.apply_color_lut(pixels, self._header)[..., :3]
            return Frame(pixels, mode, "format DICOM")

    def _grey(
        self, stored: Shaped[np.ndarray, "H W"], index: int, mode: str, *, inverted: bool
    ) -> Frame:
        levels = self._in_units(stored, index)
        own = self._by_own_window(levels, index)
        if own is not None:
            own = 255 - own if inverted else own
        elif levels.dtype == np.uint8:
            picture = 255 - levels if inverted else levels
            return Frame(np.repeat(picture[..., None], 3, axis=-1), mode, "format DICOM")
        return Frame(levels, mode, "format DICOM", own, inverted)

    def _in_units(self, stored: Shaped[np.ndarray, "H W"], index: int) -> Shaped[np.ndarray, "H W"]:
        """The modality's values: rescaled, or by its table."""
        if self._header.get("ModalityLUTSequence"):
            looked_up: np.ndarray = _pydicom().pixels.apply_modality_lut(stored, self._header)
            return looked_up
        described = self._of_frame("PixelValueTransformationSequence", index)
        slope = float(described.get("RescaleSlope") or 1)
        intercept = float(described.get("RescaleIntercept") or 0)
        if (slope, intercept) == (1, 0):
            return stored
        if slope.is_integer() and intercept.is_integer() and stored.dtype.kind in "iu":
            return stored.astype(np.int64) * int(slope) + int(intercept)
        return stored.astype(np.float64) * slope + intercept

    def _by_own_window(
        self, levels: Shaped[np.ndarray, "H W"], index: int
    ) -> UInt8[np.ndarray, "H W"] | None:
        """The picture by the first table or window that the file states; None if it states none."""
        described = self._of_frame("FrameVOILUTSequence", index)
        if described.get("VOILUTSequence"):
            table = described.VOILUTSequence[0]
            shown = _pydicom().pixels.apply_voi(levels, described)
            return _eight_bits(shown / (2.0 ** int(table.LUTDescriptor[2]) - 1))
        centre, width = (_first(described.get(f"Window{each}")) for each in ("Center", "Width"))
        if centre is None or width is None:
            return None
        function = str(described.get("VOILUTFunction") or "LINEAR")
        fraction = _windowed(levels.astype(np.float64), centre, width, function)
        return None if fraction is None else _eight_bits(fraction)

    def _of_frame(self, sequence: str, index: int) -> Any:
        """What describes one image: its own group, that of all images, or the file."""
        groups = self._header.get("PerFrameFunctionalGroupsSequence") or []
        shared = self._header.get("SharedFunctionalGroupsSequence") or []
        for group in (*groups[index : index + 1], *shared[:1]):
            if group.get(sequence):
                return group[sequence].value[0]
        return self._header

    def _require_decoder(self) -> None:
        """Refuses a transfer syntax that nothing installed decodes."""
        if not self._syntax.is_compressed:
            return
        try:
            decoder = _pydicom().pixels.get_decoder(self._syntax)
        except NotImplementedError as error:
            raise UserError(
                f"{self._name}: {self._syntax.name} pixels are not read; save it uncompressed"
            ) from error
        if not decoder.is_available:
            advice = "pip install 'fakd_jax[dicom]'"
            if self._syntax in _LOSSLESS_JPEG:
                advice = "pip install python-gdcm (or pylibjpeg-libjpeg, under the GPL)"
            raise UserError(
                f"{self._name}: {self._syntax.name} pixels need a decoder: {advice}; or save it "
                "uncompressed"
            )

    def _require_honest_size(self, index: int) -> None:
        """Refuses a compressed image that would unpack to another size than the header says."""
        header = self._header
        coded = _pydicom().encaps.get_frame(header.PixelData, index, number_of_frames=self._number)
        if self._syntax == _RLE:
            samples = self._size[0] * self._size[1] * int(header.SamplesPerPixel)
            honest = len(coded) <= 1_000 + _RLE_OVERHEAD * samples * int(header.BitsAllocated) // 8
        else:
            honest = coded_size(coded) == self._size
        if not honest:
            raise UserError(
                f"{self._name}: broken DICOM file (its pixels are not of the size that it states); "
                "replace or remove it"
            )


def _syntax_of(path: Path) -> str | None:
    """The transfer syntax in the file's head; None if there is none."""
    meta = _pydicom().filereader.read_file_meta_info(path) if has_magic(path) else {}
    return meta.get("TransferSyntaxUID")


def _syntax_of_header(header: Any) -> Any:
    """The transfer syntax; that of a file without a preamble by how it was read."""
    if "TransferSyntaxUID" not in header.file_meta:
        uid = _pydicom().uid
        implicit, _ = header.original_encoding
        chosen = uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian
        header.file_meta.TransferSyntaxUID = chosen
    return header.file_meta.TransferSyntaxUID


def _first(value: Any) -> float | None:
    """The first of one or more numbers; None if there is none."""
    values = value if isinstance(value, (list, tuple)) or hasattr(value, "__len__") else [value]
    return float(values[0]) if len(values) and values[0] not in (None, "") else None


def _windowed(
    levels: Float64[np.ndarray, "H W"], centre: float, width: float, function: str
) -> Float64[np.ndarray, "H W"] | None:
    """The window of DICOM PS3.3 C.11.2, as a fraction of white; None if its width means nothing."""
    if function == "LINEAR":
        if width < 1:
            return None
        if width == 1:
            return (levels > centre - 0.5).astype(np.float64)
        return (levels - (centre - 0.5)) / (width - 1) + 0.5
    if width <= 0:
        return None
    if function == "LINEAR_EXACT":
        return (levels - centre) / width + 0.5
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (levels - centre) / width, -700, 700)))
    raise ValueError("unknown VOI LUT function")


def _eight_bits(fraction: Float64[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W"]:
    return np.rint(np.clip(fraction, 0, 1) * 255).astype(np.uint8)
