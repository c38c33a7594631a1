"""The names of the files that training, evaluation, explanation and studies write."""

from __future__ import annotations

from pathlib import Path

PHASES = ("teacher", "student")

# A checkpoint that training resumes from.
POSITION_FILE = "position.json"

# A workdir.
CONFIG_FILE = "config.json"
SPLIT_FILE = "split.json"
ENVIRONMENT_FILE = "environment.json"
REPRODUCTION_FILE = "reproduction.json"
RECORDS_FILE = "metrics.jsonl"
LOG_FILE = "train.log"
CURVES_FILE = "curves.png"
LOCK_FILE = ".lock"

# An evaluation.
METRICS_FILE = "metrics.json"
PREDICTIONS_FILE = "predictions.csv"
IMAGES_FILE = "images.csv"
VALIDATION_PREDICTIONS_FILE = "val_predictions.csv"
DUPLICATE_GROUPS_FILE = "duplicate_groups.csv"
COPIES_FILE = "copies_of_training.csv"
TABLE_FILE = "table2.txt"
REPORT_FILE = "report.html"
CONFUSION_MATRIX_FILE = "confusion_matrix.png"
RELIABILITY_FILE = "reliability.png"
RISK_COVERAGE_FILE = "risk_coverage.png"
ROC_FILE = "roc.png"
PRECISION_RECALL_FILE = "precision_recall.png"
FOREIGN_IMAGES_FILE = "foreign_images.csv"

# What the training images look like to a network: beside its evaluation, or in a bundle.
REFERENCE_FILE = "reference.json"
REFERENCE_ARRAYS_FILE = "reference.npz"

# The exported network in a bundle.
ONNX_FILE = "model.onnx"

# A stress test, in a folder of its own, and there the logits of each condition.
STRESS_FOLDER = "stress"
STRESS_FILE = "stress.json"
STRESS_ROWS_FILE = "stress.csv"
STRESS_IMAGES_FILE = "stress_images.csv"
STRESS_FIGURE_FILE = "stress.png"
STRESS_PAGE = "stress.html"
STRESS_PREDICTIONS_FOLDER = "predictions"

# Explanations, and the folder of each.
EXPLANATIONS_FILE = "explanations.jsonl"
EXPLANATION_SETTINGS_FILE = "settings.json"
EXPLANATIONS_PAGE = "index.html"
EXPLANATION_FILE = "explanation.json"
EXPLANATION_FIGURE_FILE = "figure.png"
OVERLAY_FILE = "overlay.png"
ORIGINAL_LAYER_FILE = "attribution_original.png"
ORIGINAL_ATTRIBUTION_FILE = "attribution_original.npy"
SEGMENTS_FILE = "segments.png"
ATTRIBUTION_FILE = "attribution.npy"
THUMBNAIL_FILE = "thumbnail.png"

# The benchmark of explanations.
BENCHMARK_FILE = "benchmark.json"
BENCHMARK_TABLE_FILE = "benchmark.txt"
BENCHMARK_ROWS_FILE = "benchmark.csv"
BENCHMARK_FIGURE_FILE = "benchmark.png"
GALLERY_FILE = "gallery.html"

# A study, and the workdir of each of its cells.
STUDY_FILE = "study.json"
STUDY_TABLE_FILE = "study.txt"
STUDY_ROWS_FILE = "study.csv"
STUDY_FIGURE_FILE = "study.png"
STUDY_LOG_FILE = "study.log"
CELL_FILE = "cell.json"
FAILED_FILE = "failed.txt"
CLAIM_FILE = ".claim"


def evaluation_folder(workdir: Path, phase: str, images: str = "") -> Path:
    """Where the evaluation of a workdir's "teacher" or "student" belongs.

    That on images other than the run's own test images has a folder of its own, named after them:
    it overwrites nothing that predictions, bundles and studies rely on.
    """
    folder = workdir / "-".join(filter(None, ("evaluation", images)))
    return folder / "teacher" if phase == "teacher" else folder
