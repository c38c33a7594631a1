"""Every file of a data set decoded once: what is unreadable, what must be re-encoded."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from fakd_jax.data.preprocessing import decode_rgb
from fakd_jax.data.scanning import FoundImage
from fakd_jax.errors import UserError
from fakd_jax.runtime.hashing import sha256

MAX_FILE_BYTES = 256 * 2**20
PROGRESS_SECONDS = 10.0

_EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True)
class Inspected:
    """A file that was looked into.

    Attributes:
      image: the file.
      sha256: of its bytes; empty if it could not be read at all.
      problem: why it can't be used; empty if it can.
      size: (width, height) as decoded.
      mode: Pillow's mode of the file, such as `L`, `RGB`, `RGBA` or `I;16`.
      reencoded: why its bytes do not go into the records as they are; empty if they do.
      stored: the file whose bytes go into the records.
    """

    image: FoundImage
    sha256: str = ""
    problem: str = ""
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    reencoded: str = ""
    stored: Path = Path()


def inspect_images(
    images: Sequence[FoundImage], scratch: Path, *, log: Callable[[str], object] = print
) -> list[Inspected]:
    """Reads, hashes and fully decodes every file, in threads.

    Args:
      images: the files.
      scratch: an existing folder for the images that are re-encoded (lossless PNG).
      log: told the progress every ten seconds.

    Returns:
      One entry a file, in the order given.
    """
    told = time.monotonic()
    results = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        jobs = [
            pool.submit(_inspect, image, scratch / f"{number:07d}.png")
            for number, image in enumerate(images)
        ]
        try:
            for job in jobs:
                results.append(job.result())
                if time.monotonic() - told > PROGRESS_SECONDS:
                    told = time.monotonic()
                    log(f"data: checked {len(results):,} of {len(images):,} images")
        except BaseException:
            pool.shutdown(cancel_futures=True)  # an interruption must not wait for thousands
            raise
    return results


def _inspect(image: FoundImage, scratch: Path) -> Inspected:
    if image.problem:
        return Inspected(image, problem=image.problem)
    try:
        if image.path.stat().st_size > MAX_FILE_BYTES:
            return Inspected(image, problem=f"larger than {MAX_FILE_BYTES // 2**20} MiB")
        content = image.path.read_bytes()
    except OSError as error:
        return Inspected(image, problem=f"cannot be read: {error.strerror}")
    digest = sha256(content)
    try:
        pixels = decode_rgb(content, image.id)
    except UserError as error:
        return Inspected(image, digest, problem=str(error).removeprefix(f"{image.id}: "))
    mode, reason = _mode_and_reason(content)
    if reason:
        from PIL import Image

        Image.fromarray(pixels).save(scratch, format="PNG")
    height, width, _ = pixels.shape
    return Inspected(
        image,
        digest,
        size=(width, height),
        mode=mode,
        reencoded=reason,
        stored=scratch if reason else image.path,
    )


def _mode_and_reason(content: bytes) -> tuple[str, str]:
    """A decodable image's mode, and why its bytes can't go into the records as they are.

    The records hold what any reader decodes to the same pixels: 8-bit grey or RGB, JPEG or
    PNG, upright and opaque.
    """
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        if image.format not in ("JPEG", "PNG"):
            return image.mode, f"format {image.format}"
        if image.mode not in ("RGB", "L"):
            return image.mode, f"mode {image.mode}"
        if "transparency" in image.info:
            return image.mode, "transparent colour"
        if image.getexif().get(_EXIF_ORIENTATION, 1) != 1:
            return image.mode, "EXIF orientation"
        return image.mode, ""
