"""A `metrics.json` made by hand, with every key, for the tests of the report.

Forty images of three classes, `negative` among them; 32 right. Six have a duplicate in training.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fakd_jax.metrics.confusion import confusion_metrics
from fakd_jax.metrics.detection import predictive_values
from fakd_jax.metrics.resampling import proportion, wilson_interval

NAMES = ("astro", "negative", "zoster")
MATRIX = [[12, 3, 1], [2, 10, 0], [1, 1, 10]]
SUBSETS = (("all", 40, 32), ("duplicate in training", 6, 6), ("no duplicate", 34, 26))
SHA = "0123456789abcdef" * 4
FINGERPRINT = "fedcba9876543210" * 4


def reliability_bins(*bins: tuple[int, float, int]) -> list[dict[str, Any]]:
    """Four bins from their number of images, mean confidence and number of correct predictions."""
    rows = []
    for index, (n, confidence, right) in enumerate(bins):
        right_of_n = proportion(right, n)
        accuracy = {"accuracy": right_of_n["rate"], "accuracy_ci95": right_of_n["ci95"]}
        ends = {"low": index / 4, "high": (index + 1) / 4}
        rows.append({**ends, "n": n, "confidence": confidence if n else None, **accuracy})
    return rows


def curve_point(n: int, wrong: int) -> dict[str, Any]:
    return {
        "coverage": n / 40,
        "n": n,
        "threshold": 1 - n / 80,
        "risk": wrong / n,
        "risk_ci95": list(wilson_interval(wrong, n)),
    }


def calibration_scores(ece: float, nll: float, brier: float) -> dict[str, Any]:
    return {
        "ece": ece,
        "ece_ci95": [0.0, ece + 0.02],
        "ece_if_calibrated": 0.0613,
        "nll": nll,
        "nll_ci95": [nll - 0.1, nll + 0.15],
        "brier": brier,
        "brier_ci95": [brier - 0.05, brier + 0.07],
    }


def subset(name: str, n: int, right: int) -> dict[str, Any]:
    return {
        "name": name,
        "n": n,
        "groups": n - 1,
        "accuracy": right / n,
        "accuracy_ci95": list(wilson_interval(right, n)),
        "accuracy_ci95_grouped": [right / n - 0.1, min(right / n + 0.1, 1.0)],
        "balanced_accuracy": right / n,
        "missed_tumour": proportion(1, 7 * n // 10),
    }


def operating_point(chosen: str, found: int, spared: int, **facts: float) -> dict[str, Any]:
    """Of 28 tumours and 12 images without one, at two prevalences."""
    sensitivity, specificity = proportion(found, 28), proportion(spared, 12)
    values = [predictive_values(sensitivity, specificity, share) for share in (0.7, 0.01)]
    return {
        "chosen": chosen,
        **facts,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "predictive_values": values,
    }


def example_metrics() -> dict[str, Any]:
    """A fresh dict, which a test may change."""
    metrics = confusion_metrics(np.array(MATRIX), NAMES, "negative")
    for name, values in metrics["per_class"].items():
        values |= {
            "precision_ci95": [0.61, 0.91],
            "specificity": 0.875,
            "specificity_ci95": [0.75, 0.95],
            "auroc": 0.9321 if name == "astro" else 0.95,
            "auroc_ci95": [0.88, 0.97],
        }
    scores = calibration_scores(0.0812, 0.6543, 0.3219)
    source = {"split": "val", "n": 24}
    metrics |= {
        "balanced_accuracy_ci95": [0.6789, 0.9012],
        "false_alarm": proportion(2, 12)
        | {"negative_class": "negative", "by_class": {"astro": 2, "zoster": 0}},
        "auroc": {
            "macro": 0.9441,
            "macro_ci95": [0.9, 0.98],
            "tumour": 0.9123,
            "tumour_ci95": [0.85, 0.96],
        },
        **scores,
        "calibration": {
            "bins": reliability_bins((0, 0, 0), (4, 0.4, 1), (10, 0.65, 7), (26, 0.93, 24)),
            "temperature": {
                "value": 1.37,
                "fitted_on": source,
                "before": scores,
                "after": calibration_scores(0.0345, 0.6001, 0.3102),
                "bins_after": reliability_bins(
                    (0, 0, 0), (8, 0.4, 3), (12, 0.65, 10), (20, 0.93, 19)
                ),
            },
        },
        "selective": {
            "curve": [curve_point(10, 0), curve_point(20, 1), curve_point(40, 8)],
            "aurc": 0.0777,
            "aurc_ci95": [0.0444, 0.1357],
            "reject": {
                "threshold": 0.7654,
                "rule": "the lowest threshold whose validation risk is at most 5 %",
                "chosen_on": source,
                "coverage": 0.75,
                "n_kept": 30,
                "n_rejected": 10,
                "risk": 0.1,
                "risk_ci95": [0.0346, 0.2562],
                "missed_tumour": proportion(1, 21),
                "rejected_right": 5,
                "rejected_wrong": 5,
            },
        },
        "accuracy_ci95_grouped": [0.6512, 0.9023],
        "cohen_kappa": 0.6939,
        "cohen_kappa_ci95": [0.4812, 0.8194],
        "tumour": {
            "prevalence": proportion(28, 40),
            "roc": [
                {"sensitivity": found, "specificity": spared}
                for found, spared in ((0.0, 1.0), (0.7, 1.0), (0.9, 0.8), (1.0, 0.0))
            ],
            "average_precision": 0.9543,
            "average_precision_ci95": [0.8712, 0.9846],
            "precision_recall": [
                {"recall": recall, "precision": precision}
                for recall, precision in ((0.7, 1.0), (0.9, 0.91), (1.0, 0.7))
            ],
            "points": [
                operating_point("most probable class", 24, 10),
                operating_point("validation", 20, 11, target=0.95, threshold=0.31),
                operating_point("these images", 19, 12, target=0.95, threshold=0.87),
            ],
        },
        "external": None,
        "bootstrap": {"resamples": 2000, "seed": 0, "unit": "duplicate group", "units": 37},
        "subsets": {"audit": "aa" * 32, "rows": [subset(*row) for row in SUBSETS]},
        "comparison": {
            "with": {
                "arch": "tiny_resnet",
                "config": "teacher_only",
                "checkpoint": "teacher/best/9",
                "weights_sha256": "ee" * 32,
            },
            "n": 40,
            "both_right": 28,
            "only_this_right": 4,
            "only_other_right": 6,
            "both_wrong": 2,
            "mcnemar_p": 0.7539,
            "difference": -0.05,
            "difference_ci95": [-0.2, 0.1],
            "sign_flip_p": 0.8125,
            "verdict": "unsettled",
        },
        "latency": [
            {
                "batch": 1,
                "device": "A Processor",
                "dtype": "float32",
                "repeats": 100,
                "median_ms": 1.25,
                "p95_ms": 1.5,
                "median_ms_per_image": 1.25,
            }
        ],
        "stress": None,
        "foreign_and_poor": {
            "foreign": proportion(3, 40) | {"wrong": 2, "threshold": 0.4321},
            "poor": proportion(1, 40) | {"wrong": 0, "reasons": {"blurred": 1, "noisy": 1}},
            "fitted": {
                "training_images": 160,
                "validation_images": 24,
                "rule": "at most 5% of images of the same kind exceed it, with 95% confidence",
            },
        },
        "provenance": {
            "checkpoint": "student/best/7",
            "weights_sha256": SHA,
            "arch": "tiny_mobilenet",
            "head": "trained",
            "config": "fakd",
            "trained": {"phase": "student", "step": 7, "epoch": 3, "val_accuracy": 0.875},
            "data": {
                "source": "hospital scans.zip",
                "name": "scans",
                "version": "fedcba987654",
                "fingerprint": FINGERPRINT,
                "same_as_training": True,
            },
            "split": "test",
            "split_origin": "split.json (official, seed 11)",
            "preprocessing": {
                "image_size": 32,
                "mean": [0.5, 0.5, 0.5],
                "std": [0.5, 0.5, 0.5],
                "interpolation": "bilinear",
            },
            "dtype": "float32",
            "batch_size": 8,
            "hardware": {
                "platform": "cpu",
                "device": "A Processor",
                "device_count": 1,
                "cpu_count": 2,
                "python": "3.11.7",
                "jax": "0.10.2",
            },
            "package_version": "0.1.0",
        },
    }
    return metrics


def metrics_with_nothing_known() -> dict[str, Any]:
    """As :func:`example_metrics`, but every key that may be None is."""
    metrics = example_metrics()
    metrics |= {
        "missed_tumour": None,
        "false_alarm": None,
        "accuracy_ci95_grouped": None,
        "cohen_kappa": None,
        "cohen_kappa_ci95": None,
        "tumour": None,
        "subsets": None,
        "comparison": None,
        "foreign_and_poor": None,
        "auroc": dict.fromkeys(metrics["auroc"]),
        "balanced_accuracy_ci95": None,
        "bootstrap": {"resamples": 2000, "seed": 0, "unit": "image", "units": 40},
    }
    metrics["calibration"]["temperature"] = None
    metrics["selective"]["reject"] = None
    for values in metrics["per_class"].values():
        values |= {key: None for key in values if key != "support"}
    metrics["provenance"] |= {"config": None, "trained": None}
    metrics["provenance"]["data"]["same_as_training"] = None
    return metrics
