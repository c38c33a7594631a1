"""Names and encodings of what the explainers leave on disk."""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int32

from fakd_jax.errors import UserError
from fakd_jax.runtime.hashing import sha256


def require_text(ids: Sequence[str]) -> None:
    """Refuses names that no file in UTF-8 can hold, before anything is computed for them.

    Raises:
      UserError: a name is not UTF-8.
    """
    for id in ids:
        try:
            id.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"the name {id!r} is not UTF-8; rename the file") from error


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """JSON as UTF-8, one key a line; ValueError for NaN and infinity, which JSON lacks."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def label_map_bytes(segments: Int32[np.ndarray, "H W"]) -> bytes:
    """A label map as a 16-bit greyscale PNG: 0 is background, superpixel s has the value s + 1."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray((segments + 1).astype(np.uint16)).save(buffer, format="PNG")
    return buffer.getvalue()


def array_bytes(values: Float[np.ndarray, ...]) -> bytes:
    """Numbers as NumPy's own file format, in float32."""
    buffer = io.BytesIO()
    np.save(buffer, values.astype(np.float32))
    return buffer.getvalue()


def folder_names(ids: Sequence[str]) -> list[str]:
    """A folder name for each id: the id without extension, made safe for every file system.

    Ids that would share a folder (`a/x.png` and `a_x.jpg`, or differing only in case) all get
    a hash of the id at the end, so that a name never depends on the order.

    >>> folder_names(["Testing/glioma/Te-gl_0010.jpg"])
    ['Testing_glioma_Te-gl_0010']
    """
    slugs = [re.sub(r"[^\w.-]+", "_", os.path.splitext(id)[0]).strip("._") for id in ids]
    # A name may have 255 bytes; the end of a path tells more than its beginning.
    slugs = [slug.encode()[-150:].decode(errors="ignore") or "image" for slug in slugs]
    taken = Counter(slug.casefold() for slug in slugs)
    return [
        slug if taken[slug.casefold()] == 1 else f"{slug}-{sha256(id)[:8]}"
        for slug, id in zip(slugs, ids, strict=True)
    ]
