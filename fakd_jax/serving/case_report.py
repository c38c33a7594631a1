"""The report of one case: a page, a PDF, or a DICOM image for the archive."""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from fakd_jax.errors import UserError
from fakd_jax.reporting.images import png_bytes
from fakd_jax.reporting.pages import render
from fakd_jax.runtime.extras import import_extra
from fakd_jax.serving.answers import Answer, Explained
from fakd_jax.version import __version__

CAVEAT = "Research software, not for diagnosis."
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_MOST_PIXELS = 1_024


@dataclass(frozen=True)
class Case:
    """What a report of one image says. It has nothing about the patient.

    Attributes:
      picture: the image.
      answer: of the network.
      explained: evidence for and against a class.
      network: its name and the digest of its weights.
      time: of the answer, with its time zone.
    """

    picture: UInt8[np.ndarray, "H W 3"]
    answer: Answer
    explained: Explained
    network: str
    time: datetime.datetime

    @property
    def overlaid(self) -> UInt8[np.ndarray, "H W 3"]:
        """The image with the evidence over it."""
        layer = self.explained.layer.astype(np.float64)
        mixed = self.picture + layer[..., 3:] / 255 * (layer[..., :3] - self.picture)
        return np.rint(mixed).astype(np.uint8)

    @property
    def lines(self) -> list[str]:
        """The report's text."""
        shares = "; ".join(
            f"{name} {100 * share:.1f} %" for name, share in self.answer.probabilities.items()
        )
        return [
            self.answer.sentence,
            shares,
            self.explained.sentence,
            f"{self.network}, fakd_jax {__version__}, {self.time.isoformat(timespec='seconds')}",
            CAVEAT,
        ]


def as_html(case: Case) -> bytes:
    """A page with everything in it."""
    pictures = [_scaled(case.picture), _scaled(case.overlaid)]
    return render("serving/case.html", case=case, pictures=pictures).encode()


def as_pdf(case: Case) -> bytes:
    """One page of A4.

    Raises:
      UserError: the extra `serve` is not installed.
    """
    fpdf = import_extra("fpdf", "serve", "a report as PDF")
    document = fpdf.FPDF()
    document.set_title("What the network sees")
    document.set_creation_date(case.time)
    document.add_page()
    document.set_font("helvetica", size=16)
    document.cell(text="What the network sees", new_x="LMARGIN", new_y="NEXT", h=12)
    top, width = document.get_y(), (document.epw - 6) / 2
    height = 0.0
    for number, picture in enumerate((case.picture, case.overlaid)):
        scaled = _scaled(picture)
        placed = document.image(
            io.BytesIO(png_bytes(scaled)),
            x=document.l_margin + number * (width + 6),
            y=top,
            w=width,
        )
        height = placed.rendered_height
    document.set_y(top + height + 6)
    document.set_font("helvetica", size=11)
    for line in case.lines:
        # The fonts that every viewer has know Latin-1 alone.
        text = line.replace("’", "'").encode("latin-1", "replace").decode("latin-1")
        document.multi_cell(w=0, text=text, new_x="LMARGIN", new_y="NEXT", h=6)
        document.ln(2)
    return bytes(document.output())


def as_dicom(case: Case) -> bytes:
    """Image and evidence side by side, as a Secondary Capture (DICOM PS3.3, A.8.1).

    It belongs to a study of its own and names no patient: whoever files it says whose it is.

    Raises:
      UserError: the extra `dicom` is not installed.
    """
    pydicom = import_extra("pydicom", "dicom", "a report as DICOM")
    uid = import_extra("pydicom.uid", "dicom", "a report as DICOM")
    pixels = np.concatenate([_scaled(case.picture), _scaled(case.overlaid)], axis=1)
    made = pydicom.Dataset()
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = SECONDARY_CAPTURE
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = uid.generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = uid.generate_uid(), uid.generate_uid()
    made.PatientName = made.PatientID = made.PatientBirthDate = made.PatientSex = ""
    made.StudyID = made.AccessionNumber = made.ReferringPhysicianName = made.PatientOrientation = ""
    made.StudyDate = made.ContentDate = case.time.strftime("%Y%m%d")
    made.StudyTime = made.ContentTime = case.time.strftime("%H%M%S")
    made.Modality, made.ConversionType = "OT", "WSD"
    made.SeriesNumber = made.InstanceNumber = 1
    made.Manufacturer = "fakd_jax"
    made.SoftwareVersions = __version__
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.BurnedInAnnotation = "NO"
    made.SpecificCharacterSet = "ISO_IR 192"
    made.ImageComments = " ".join(case.lines)[:10_240]
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel, made.PhotometricInterpretation = 3, "RGB"
    made.PlanarConfiguration = made.PixelRepresentation = 0
    made.BitsAllocated = made.BitsStored = 8
    made.HighBit = 7
    content = pixels.tobytes()
    made.PixelData = content + b"\0" * (len(content) % 2)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, made, enforce_file_format=True)
    return buffer.getvalue()


FORMATS: Mapping[str, tuple[Callable[[Case], bytes], str]] = {
    "html": (as_html, "text/html; charset=utf-8"),
    "pdf": (as_pdf, "application/pdf"),
    "dcm": (as_dicom, "application/dicom"),
}
"""How a report is written, and its media type, by the suffix of its file."""


def write_report(case: Case, format: str) -> tuple[bytes, str]:
    """A report and its media type.

    Raises:
      UserError: no such format, or one whose extra is not installed.
    """
    if format not in FORMATS:
        raise UserError(f"unknown format {format!r}; choose one of {', '.join(FORMATS)}")
    write, media_type = FORMATS[format]
    return write(case), media_type


def _scaled(picture: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
    from PIL import Image

    scaled = Image.fromarray(picture)
    scaled.thumbnail((_MOST_PIXELS, _MOST_PIXELS))
    return np.asarray(scaled)
