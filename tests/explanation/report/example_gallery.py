"""A small made-up benchmark: two methods and a control."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakd_jax.explanation.benchmark.metrics import BY_KEY
from fakd_jax.explanation.benchmark.summary import ALL

METHODS, CONTROLS = ["lime", "grad-cam", "centre"], ["centre"]
UP, DOWN = [0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]
SHOWN = ("jaccard", "gap", "local_fidelity", "dependence", "background")
LESION = ("pointing", "dice", "mass_in_mask")


def cell(id: str, method: str, **changes: Any) -> dict[str, Any]:
    """A correctly predicted glioma; `changes` are keys of the cell or of its metrics."""
    metrics: dict[str, float | None] = {
        "jaccard": 0.9,
        "gap": 0.25,
        "local_fidelity": 0.5,
        "dependence": 0.7,
        **dict.fromkeys(LESION),
        "background": 0.0,
    }
    metrics |= {key: changes.pop(key) for key in list(changes) if key in metrics}
    return {
        "id": id,
        "true_class": "glioma",
        "prediction": "glioma",
        "probability": 0.625,
        "probabilities": {"glioma": 0.625, "notumor": 0.375},
        "explained_class": "glioma",
        "method": method,
        "metrics": metrics,
        "curves": {
            "fraction": [0.0, 0.5, 1.0],
            "deletion": [0.625, 0.5, 0.25],
            "insertion": [0.25, 0.5, 0.625],
        },
        "intervals": {"low": UP, "high": UP},
        "feature_map": None,
        "completeness": None,
        "weights": UP,
    } | changes


def image(id: str, second: Sequence[float] = UP, **changes: Any) -> list[dict[str, Any]]:
    """The cells of one image; `second` are the weights of the second method."""
    return [
        cell(id, "lime", **changes),
        cell(id, "grad-cam", weights=list(second), **changes),
        cell(id, "centre", weights=DOWN, **changes),
    ]


def report(*, localised: bool = False, **changes: Any) -> dict[str, Any]:
    """The content of `benchmark.json`."""
    keys = SHOWN + LESION if localised else SHOWN
    metrics = {
        key: {"mean": 0.5, "ci95": [0.25, 0.75], "n": 3}
        if key in keys
        else {"mean": None, "ci95": None, "n": 0}
        for key in BY_KEY
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
        "metrics": [
            {"key": key, "name": metric.name, "better": metric.better}
            for key, metric in BY_KEY.items()
        ],
        "config": {
            "methods": {"lime": {"score": "probability"}, "grad-cam": {"score": "logit"}},
            "controls": {"centre": {"score": None}},
        },
        "notes": ["a note on the statistics"],
        "methods": METHODS,
        "controls": CONTROLS,
        "rows": [
            {"method": method, "class": ALL, "n": 3, "metrics": metrics} for method in METHODS
        ],
        "verdicts": [verdict("lime", "gap", "better", 0.25), verdict("grad-cam", "gap", "worse")],
        "sanity": [
            {"method": "lime", "dependence": 0.7, "ci95": [0.6, 0.8], "n": 3, "passes": True},
            {"method": "grad-cam", "dependence": 0.0, "ci95": None, "n": 3, "passes": False},
        ],
    } | changes


def verdict(method: str, metric: str, words: str | None, by: float = -0.25) -> dict[str, Any]:
    return {
        "method": method,
        "metric": metric,
        "control": "centre",
        "difference": by,
        "ci95": [by - 0.1, by + 0.1],
        "n": 3,
        "verdict": words,
    }
