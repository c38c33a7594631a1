"""Made-up cells: plain ones by hand, realistic ones at random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fakd_jax.explanation.benchmark.metrics import BY_KEY

METHODS = (
    "lime",
    "kernel-shap",
    "grad-cam",
    "grad-cam++",
    "integrated-gradients",
    "occlusion",
    "rise",
)
CONTROLS = ("random", "centre", "edges")
CLASSES = ("glioma", "meningioma", "notumor", "pituitary")

# Plausible means by metric, in the order of METHODS + CONTROLS.
TYPICAL: Mapping[str, tuple[float | None, ...]] = {
    "rank_correlation": (0.72, 0.81, 1.0, 1.0, 1.0, 1.0, 0.66, 0.02, 1.0, 1.0),
    "jaccard": (0.61, 0.72, 1.0, 1.0, 1.0, 1.0, 0.58, 0.08, 1.0, 1.0),
    "sign_agreement": (0.84, 0.9, 1.0, 1.0, 1.0, 1.0, 0.86, 0.5, 1.0, 1.0),
    "deletion": (0.18, 0.16, 0.24, 0.25, 0.31, 0.21, 0.26, 0.44, 0.38, 0.33),
    "insertion": (0.78, 0.8, 0.74, 0.73, 0.6, 0.77, 0.75, 0.56, 0.63, 0.58),
    "local_fidelity": (0.62, 0.66, 0.35, 0.34, 0.22, 0.48, 0.41, 0.06, 0.14, 0.12),
    "dependence": (0.86, 0.9, 0.78, 0.75, 0.41, 0.83, 0.7, None, 0.0, 0.0),
    "randomised_correlation": (0.1, 0.08, 0.2, 0.24, 0.57, 0.17, 0.25, 0.01, 1.0, 1.0),
    "pointing": (0.62, 0.66, 0.7, 0.69, 0.55, 0.64, 0.6, 0.12, 0.3, 0.2),
    "dice": (0.41, 0.43, 0.38, 0.37, 0.25, 0.4, 0.36, 0.1, 0.2, 0.12),
    "mass_in_mask": (0.35, 0.37, 0.3, 0.31, 0.18, 0.34, 0.22, 0.08, 0.16, 0.1),
    "background": (0.0, 0.0, 0.18, 0.2, 0.09, 0.0, 0.0, 0.37, 0.05, 0.01),
}


def cell(id: str, method: str, explained_class: str = "glioma", **metrics: Any) -> dict[str, Any]:
    """A cell with the given metrics; the others are undefined."""
    return {
        "id": id,
        "method": method,
        "explained_class": explained_class,
        "metrics": dict.fromkeys(BY_KEY) | metrics,
        "randomisation": _randomisation(**metrics),
    }


def _randomisation(
    dependence: float | None = None, rank_correlation: float = 1.0, **metrics: Any
) -> dict[str, float] | None:
    """Correlations that give this dependence at this stability."""
    if dependence is None:
        return None
    return {
        "signed": (1 - dependence) * rank_correlation,
        "absolute": 0.0,
        "stability_signed": rank_correlation,
        "stability_absolute": 0.0,
    }


def cells_of(method: str, metric: str, values: Any, explained_class: str = "glioma") -> list[dict]:
    """One cell per image, `image00` and so on, with one metric."""
    return [
        cell(f"image{index:02d}", method, explained_class, **{metric: value})
        for index, value in enumerate(values)
    ]


def typical_cells(images: int = 40, *, localised: bool = True, seed: int = 0) -> list[dict]:
    """All methods and controls on some images, three fifths of them with a lesion mask."""
    random = np.random.default_rng(seed)
    cells = []
    for index in range(images):
        shared = random.normal(0, 0.05)  # some images are easy for every method
        with_mask = localised and index % 5 < 3
        for place, method in enumerate((*METHODS, *CONTROLS)):
            metrics = {
                key: _drawn(random, key, typical[place], shared)
                for key, typical in TYPICAL.items()
                if with_mask or BY_KEY[key].group != "localisation"
            }
            metrics["gap"] = metrics["insertion"] - metrics["deletion"]
            cells.append(cell(f"{index:03d}.jpg", method, CLASSES[index % 4], **metrics))
    return cells


def _drawn(
    random: np.random.Generator, key: str, typical: float | None, shared: float
) -> float | None:
    if typical is None or typical in (0.0, 1.0):
        return typical
    if key == "pointing":
        return float(random.random() < typical)
    return float(np.clip(typical + shared + random.normal(0, 0.12), 0, 1))
