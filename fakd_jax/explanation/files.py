"""The files of explanations: records, encodings and folder names."""

from __future__ import annotations

import io
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int32

from fakd_jax.errors import UserError
from fakd_jax.explanation.result import (
    Completeness,
    Explanation,
    FeatureMap,
    Sampling,
    top_superpixels,
)
from fakd_jax.runs.files import ATTRIBUTION_FILE, SEGMENTS_FILE
from fakd_jax.runtime.hashing import sha256


def decision_record(
    probabilities: Float32[np.ndarray, " C"], class_names: Sequence[str], true_class: str | None
) -> dict[str, Any]:
    """The network's decision on an image, as JSON-able values."""
    values = [float(probability) for probability in probabilities]
    predicted = int(np.argmax(probabilities))
    return {
        "true_class": true_class,
        "prediction": class_names[predicted],
        "probability": values[predicted],
        "probabilities": dict(zip(class_names, values, strict=True)),
    }


def explanation_record(explanation: Explanation, top: int) -> dict[str, Any]:
    """An explanation as JSON-able values; its label map and attribution are files of their own."""
    segments, weights, fit = explanation.segments, explanation.weights, explanation.fit
    sizes = np.bincount(segments[segments >= 0], minlength=len(weights))
    return {
        "fidelity_r2": fit.r2 if fit else None,
        "local_prediction": fit.prediction if fit else None,
        "intercept": fit.intercept if fit else None,
        "stability": _sampling_record(explanation.sampling),
        "feature_map": _map_record(explanation.feature_map),
        "completeness": _completeness_record(explanation.completeness),
        "top": [
            {
                "superpixel": superpixel.superpixel,
                "weight": superpixel.weight,
                "sign": "positive" if superpixel.positive else "negative",
                "area": superpixel.area,
            }
            for superpixel in top_superpixels(explanation, top)
        ],
        "segments": {
            "file": SEGMENTS_FILE,
            "count": len(weights),
            "background": int((segments < 0).sum()),
            "pixels": sizes.tolist(),
        },
        "weights": weights.tolist(),
        "attribution": None if explanation.by_superpixel else ATTRIBUTION_FILE,
    }


def _sampling_record(sampling: Sampling | None) -> dict[str, Any] | None:
    if sampling is None:
        return None
    return {
        "num_samples": sampling.num_samples,
        "top": sampling.top,
        "jaccard": sampling.jaccard,
        "target": sampling.target,
        "stable": sampling.stable,
        "ci95": np.stack([sampling.low, sampling.high], axis=1).tolist(),
    }


def _map_record(feature_map: FeatureMap | None) -> dict[str, Any] | None:
    return asdict(feature_map) | {"coarse": feature_map.coarse} if feature_map else None


def _completeness_record(completeness: Completeness | None) -> dict[str, Any] | None:
    if completeness is None:
        return None
    return {
        **asdict(completeness),
        "error": completeness.error,
        "relative_error": completeness.relative_error,
        "complete": completeness.complete,
    }


def json_bytes(value: Mapping[str, Any]) -> bytes:
    """JSON as UTF-8, one key per line; raises a ValueError for NaN and infinity."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def label_map_bytes(segments: Int32[np.ndarray, "H W"]) -> bytes:
    """A label map as a 16-bit greyscale PNG: 0 is background, superpixel s has the value s + 1."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray((segments + 1).astype(np.uint16)).save(buffer, format="PNG")
    return buffer.getvalue()


def array_bytes(values: Float[np.ndarray, ...]) -> bytes:
    """An array in NumPy's file format, as float32."""
    buffer = io.BytesIO()
    np.save(buffer, values.astype(np.float32))
    return buffer.getvalue()


def require_utf8(ids: Sequence[str]) -> None:
    """Refuses ids that cannot be written to a file, before anything is computed for them.

    Raises:
      UserError: an id is not UTF-8.
    """
    for id in ids:
        try:
            id.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"the name {id!r} is not UTF-8; rename the file") from error


_OWN_NAMES = re.compile(r"index(-\d+)?\.html|explanations\.jsonl|settings\.json", re.IGNORECASE)
"""The files beside the folders of the images."""


def folder_names(ids: Sequence[str]) -> list[str]:
    """A folder name for each id: the id without extension, made safe for every file system.

    Ids that would share a folder (`a/x.png` and `a_x.jpg`, or differing only in case), or have the
    name of a file beside the folders, get a hash of the id at the end: a name never depends on the
    order.

    >>> folder_names(["Testing/glioma/Te-gl_0010.jpg"])
    ['Testing_glioma_Te-gl_0010']
    """
    slugs = [re.sub(r"[^\w.-]+", "_", os.path.splitext(id)[0]).strip("._") for id in ids]
    # A name may have 255 bytes; the end of a path is more distinctive than its beginning.
    slugs = [slug.encode()[-150:].decode(errors="ignore") or "image" for slug in slugs]
    taken = Counter(slug.casefold() for slug in slugs)
    return [
        slug
        if taken[slug.casefold()] == 1 and not _OWN_NAMES.fullmatch(slug)
        else f"{slug}-{sha256(id)[:8]}"
        for slug, id in zip(slugs, ids, strict=True)
    ]
