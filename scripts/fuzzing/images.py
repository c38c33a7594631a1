"""Image files, as data preparation, `fakd explain --image` and masks read them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from fakd_jax.data.masks import read_mask
from fakd_jax.data.pixels.frames import frames_in, read_frame
from fakd_jax.data.pixels.limits import MAX_PIXELS, MIN_SIDE
from fakd_jax.data.pixels.raster import decode_rgb
from fuzzing.expected import only_user_errors, scratch

_FORMATS = {
    "L": ("PNG", "JPEG", "TIFF", "BMP"),
    "RGB": ("PNG", "JPEG", "TIFF", "BMP", "WEBP"),
    "P": ("PNG", "GIF", "BMP", "TIFF"),
    "RGBA": ("PNG", "WEBP", "TIFF"),
    "LA": ("PNG",),
    "1": ("PNG", "TIFF", "BMP"),
    "CMYK": ("JPEG", "TIFF"),
    "I;16": ("PNG", "TIFF"),
    "F": ("TIFF",),
}


_NIFTI_MAGIC = b"n+1\0"
_MAX_FRAMES = 3


def seeds() -> list[bytes]:
    """Pictures of every mode in every format, some of several images, a bomb, DICOM and NIfTI."""
    pixels = np.arange(12 * 10, dtype=np.uint8).reshape(12, 10)
    made = []
    for mode, formats in _FORMATS.items():
        picture = (
            Image.fromarray(pixels.astype(np.uint16) * 257)
            if mode == "I;16"
            else Image.fromarray(pixels).convert(mode)
        )
        made += [_saved(picture, format) for format in formats]
    frames = [Image.fromarray(pixels + shift) for shift in range(3)]
    for format in ("GIF", "TIFF"):
        made.append(_saved(frames[0], format, save_all=True, append_images=frames[1:]))
    huge = bytearray(_saved(Image.fromarray(pixels), "BMP"))
    huge[18:26] = (32_768).to_bytes(4, "little") * 2
    return [*made, bytes(huge), *_dicom(pixels), *_nifti(pixels)]


def check(data: bytes) -> None:
    """Decodes every image of a file, and reads it as a stored picture and as a mask."""
    with only_user_errors(), scratch() as folder:
        file = folder / ("image.nii" if _NIFTI_MAGIC in data[:400] else "image")
        file.write_bytes(data)
        for index in range(min(frames_in(file), _MAX_FRAMES)):
            picture = read_frame(file, index)
            assert (picture.dtype, picture.shape[2]) == (np.uint8, 3)
            assert min(picture.shape[:2]) >= MIN_SIDE
    with only_user_errors():
        pixels = decode_rgb(data, "image")
        height, width, channels = pixels.shape
        assert (pixels.dtype, channels) == (np.uint8, 3)
        assert min(height, width) >= MIN_SIDE
        assert height * width <= MAX_PIXELS
    with only_user_errors(), scratch() as folder:
        (folder / "mask.png").write_bytes(data)
        assert read_mask(folder / "mask.png", (12, 10), 8).shape == (8, 8)


def _dicom(pixels: np.ndarray) -> list[bytes]:
    """One image, plain and in run lengths; nothing without the extra."""
    try:
        import pydicom
    except ImportError:
        return []
    header = pydicom.Dataset()
    header.file_meta = pydicom.dataset.FileMetaDataset()
    header.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    header.SOPClassUID, header.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    header.Rows, header.Columns = pixels.shape
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME1"
    header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11
    header.PixelRepresentation, header.RescaleSlope, header.RescaleIntercept = 0, 2, -100
    header.WindowCenter, header.WindowWidth = 300, 400
    header.PixelData = (pixels.astype("<u2") * 16).tobytes()
    header["PixelData"].VR = "OW"
    made = []
    for compressed in (False, True):
        if compressed:
            header.compress(pydicom.uid.RLELossless, generate_instance_uid=False)
        buffer = io.BytesIO()
        pydicom.dcmwrite(buffer, header, enforce_file_format=True)
        made.append(buffer.getvalue())
    return made


def _nifti(pixels: np.ndarray) -> list[bytes]:
    """A volume; nothing without the extra."""
    try:
        import nibabel
    except ImportError:
        return []
    volume = np.repeat(pixels[..., None].astype(np.int16), 9, axis=-1)
    return [nibabel.Nifti1Image(volume, np.diag([-1, 1, 1, 1])).to_bytes()]


def _saved(picture: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()
