"""The files that a cell leaves: its evaluation, and its stress test."""

from __future__ import annotations

import json
from pathlib import Path

from fakd_jax.study.cells import Cell, Study

PROVENANCE = {"weights_sha256": "w", "data": {"fingerprint": "f"}, "split": "test"}
IMAGES = "id,label,group,conditions,right\na/1.png,a,,4,3\nb/1.png,b,,4,1\n"


def write_cell(study: Study, cell: Cell, *, report: str = "evaluation") -> None:
    """Leaves what a run leaves, one of its two predictions wrong."""
    folder = study.folder(cell) / report
    folder.mkdir(parents=True)
    metrics = {"accuracy": 0.5, "balanced_accuracy": 0.4, "missed_tumour": None, "ece": 0.2}
    metrics["provenance"] = PROVENANCE
    (folder / "metrics.json").write_text(json.dumps(metrics))
    rows = "id,label,prediction,p_a,p_b\na/1.png,a,a,1,0\nb/1.png,b,a,1,0\n"
    (folder / "predictions.csv").write_text(rows)


def write_stress(folder: Path, **changes: object) -> None:
    """Leaves what the stress test of such a run leaves: blur and gamma at severities 1 and 3."""
    folder.mkdir(parents=True, exist_ok=True)
    accuracies = {("blur", 1): 1.0, ("blur", 3): 0.5, ("gamma", 1): 0.25, ("gamma", 3): 0.25}
    conditions = [{"family": "clean", "severity": 0, "accuracy": 0.5, "ece": 0.9}]
    conditions += [
        {"family": family, "severity": severity, "accuracy": accuracy, "ece": 0.1 * severity}
        for (family, severity), accuracy in accuracies.items()
    ]
    report = {
        "severities": [1, 3],
        "families": {"gamma": {}, "blur": {}},
        "conditions": conditions,
        "summary": {"mean": {"accuracy": 0.5, "missed_tumour": {"rate": 0.125}, "ece": 0.3}},
        "provenance": PROVENANCE,
    }
    (folder / "stress.json").write_text(json.dumps(report | changes))
    (folder / "stress_images.csv").write_text(IMAGES)
