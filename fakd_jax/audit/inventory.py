"""What a data set contains: counts, sizes, file formats, and what is not an image."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from fakd_jax.audit.matching.appearance import Thumbnails
from fakd_jax.data.dataset import ImageDataset

SIZES_LISTED = 10


@dataclass(frozen=True)
class FileFacts:
    """What an image's file reveals, whatever the picture shows.

    Attributes:
      bytes: length of the file.
      format: `JPEG` or `PNG`.
      channels: 1 for grey, 3 for RGB.
    """

    bytes: int
    format: str
    channels: int


def read_file_facts(dataset: ImageDataset) -> list[FileFacts]:
    """Reads the header of every image, in the order of `dataset.examples`."""
    from PIL import Image

    facts = []
    for index in range(len(dataset)):
        encoded = dataset.read_encoded(index)
        with Image.open(io.BytesIO(encoded)) as image:
            facts.append(FileFacts(len(encoded), image.format or "", len(image.getbands())))
    return facts


def take_inventory(
    dataset: ImageDataset, thumbnails: Thumbnails, facts: list[FileFacts]
) -> dict[str, Any]:
    """Counts what the data contains, as JSON can hold it."""
    sizes = Counter(f"{width}×{height}" for width, height in thumbnails.sizes)
    in_colour = np.array([fact.channels == 3 for fact in facts])
    return {
        "images": len(dataset),
        "counts": dataset.counts(),
        "sizes": dict(sizes.most_common(SIZES_LISTED)),
        "different_sizes": len(sizes),
        "formats": dict(Counter(fact.format for fact in facts).most_common()),
        "files_in_colour": _counts_where(dataset, in_colour),
        "pictures_in_colour": _counts_where(dataset, thumbnails.coloured),
        "strays": list(dataset.report["strays"]),
        "unreadable": dict(dataset.report["skipped"]),
        "reencoded": dict(dataset.report["reencoded"]),
    }


def _counts_where(
    dataset: ImageDataset, chosen: Bool[np.ndarray, " N"]
) -> dict[str, dict[str, int]]:
    """How many of the chosen images each split has of each class."""
    counts = {split: dict.fromkeys(row, 0) for split, row in dataset.counts().items()}
    for example, holds in zip(dataset.examples, chosen, strict=True):
        counts[example.split][dataset.class_names[example.label]] += int(holds)
    return counts
