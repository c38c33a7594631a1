"""A small benchmark: three images, two methods, one control; written by hand, not measured."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from fakd_jax.explanation.benchmark.summary import ALL

METHODS, CONTROLS = ["lime", "grad-cam", "centre"], ["centre"]
UP, DOWN = [0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]
MEASURES = [
    ("jaccard", "stability", "higher"),
    ("gap", "gap", "higher"),
    ("local_fidelity", "local fidelity", "higher"),
    ("dependence", "dependence", "higher"),
    ("pointing", "pointing", "higher"),
    ("dice", "Dice", "higher"),
    ("mass_in_mask", "mass in the lesion", "higher"),
    ("background", "background", "lower"),
]


def cell(id: str, method: str, **changes: Any) -> dict[str, Any]:
    """A cell of a glioma rightly called so; keys of `measures` may be given among the others."""
    measures: dict[str, float | None] = {
        "jaccard": 0.9,
        "gap": 0.25,
        "local_fidelity": 0.5,
        "dependence": 0.7,
        "pointing": None,
        "dice": None,
        "mass_in_mask": None,
        "background": 0.0,
    }
    measures |= {key: changes.pop(key) for key in list(changes) if key in measures}
    return {
        "id": id,
        "true_class": "glioma",
        "prediction": "glioma",
        "probability": 0.625,
        "probabilities": {"glioma": 0.625, "notumor": 0.375},
        "explained_class": "glioma",
        "method": method,
        "measures": measures,
        "curves": {
            "fraction": [0.0, 0.5, 1.0],
            "deletion": [0.625, 0.5, 0.25],
            "insertion": [0.25, 0.5, 0.625],
        },
        "weights": UP,
    } | changes


def image(id: str, second: Sequence[float] = UP, **changes: Any) -> list[dict[str, Any]]:
    """The cells of one image; `second` are the weights of the second method, the first's are UP."""
    return [
        cell(id, "lime", **changes),
        cell(id, "grad-cam", weights=list(second), **changes),
        cell(id, "centre", weights=DOWN, **changes),
    ]


def summary(**changes: Any) -> dict[str, Any]:
    """A benchmark's summary without any localisation."""
    measured = {
        key: {"mean": 0.5, "ci95": [0.25, 0.75], "n": 3}
        if key not in ("pointing", "dice", "mass_in_mask")
        else {"mean": None, "ci95": None, "n": 0}
        for key, _, _ in MEASURES
    }
    return {
        "checkpoint": {
            "checkpoint": "student/best/7",
            "weights_sha256": "ab" * 32,
            "arch": "mobilenet_v3_large",
            "head": "trained",
            "config": "fakd",
        },
        "data": {
            "source": "phantom:",
            "name": "phantom",
            "version": "3",
            "fingerprint": "cd" * 32,
            "split": "test",
            "split_origin": "the run",
        },
        "measures": [{"key": key, "name": name, "better": way} for key, name, way in MEASURES],
        "methods": METHODS,
        "controls": CONTROLS,
        "rows": [
            {"method": method, "class": ALL, "n": 3, "measures": measured} for method in METHODS
        ],
        "verdicts": [verdict("lime", "gap", "above", 0.25), verdict("grad-cam", "gap", "below")],
        "sanity": [
            {"method": "lime", "dependence": 0.7, "ci95": [0.6, 0.8], "n": 3, "passes": True},
            {"method": "grad-cam", "dependence": 0.0, "ci95": None, "n": 3, "passes": False},
        ],
    } | changes


def verdict(method: str, measure: str, words: str | None, by: float = -0.25) -> dict[str, Any]:
    return {
        "method": method,
        "measure": measure,
        "control": "centre",
        "difference": by,
        "ci95": [by - 0.1, by + 0.1],
        "n": 3,
        "verdict": words,
    }


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="PNG")
    return content.getvalue()


def read_picture(id: str, method: str | None) -> bytes:
    """A picture of one grey for each method."""
    grey = {None: 10, "lime": 60, "grad-cam": 120, "centre": 200}[method]
    return png(np.full((8, 8, 3), grey, np.uint8))


def cells_of(*images: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [each for cells in images for each in cells]
