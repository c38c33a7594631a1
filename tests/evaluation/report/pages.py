"""What the tests of the report share: what goes into a page, and what a reader sees of it."""

from __future__ import annotations

import re
from html import unescape

from fakd_jax.reporting.images import PNG_SIGNATURE

# The head of a PNG of 4 by 3 pixels is all that a page looks at.
PNG = PNG_SIGNATURE + b"\0\0\0\rIHDR\0\0\0\x04\0\0\0\x03"
TO_AUDIT = "python -m fakd_jax.audit --data 'hospital scans.zip' --cache_dir /scratch"
SETTINGS = {"name": "fakd", "seed": 41, "distillation": {"alpha": 0.25}}


def words(page: str) -> str:
    """What a reader sees, cells and lines separated by one space."""
    body = page[max(page.find("<body>"), 0) :]
    return " ".join(unescape(re.sub("<[^>]*>", " ", body)).replace("\u00a0", " ").split())
