"""Data of noise and workdirs as training leaves them, with networks drawn at random."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flax import nnx

from fakd_jax import __version__
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.data.splits import Split
from fakd_jax.evaluation.report import page
from fakd_jax.evaluation.run import evaluate_checkpoint
from fakd_jax.models import create_model
from fakd_jax.models.checkpoint import save_model
from fakd_jax.models.state import model_state
from fakd_jax.reporting.images import png_bytes
from tests.tiny import write_image

NAMES = ("glioma", "notumor", "pituitary")


def silent(line: str) -> None:
    """Logs nothing."""


def evaluate(checkpoint: Path, **options: Any) -> dict[str, Any]:
    """Evaluates without what takes time and has tests of its own."""
    quick = {"log": silent, "latency": False, "explain_mistakes": 0}
    return evaluate_checkpoint(checkpoint, **quick | options)


def write_images(folder: Path, names: tuple[str, ...], seed: int = 0) -> Path:
    """Writes five training and three test images of noise per class."""
    seeds = itertools.count(1000 * seed)
    for part, count in (("Training", 5), ("Testing", 3)):
        for name, index in itertools.product(names, range(count)):
            write_image(folder / part / name / f"{index}.png", next(seeds))
    return folder


def draw_no_figures(patch: pytest.MonkeyPatch) -> None:
    """Leaves blank pictures in reports: rendering takes half of an evaluation's time."""
    blank = png_bytes(np.zeros((1, 1), np.uint8))
    patch.setattr(page, "save_figure", lambda figure, path: path.write_bytes(blank))


def write_run(workdir: Path, dataset: ImageDataset, cache: Path, split: Split) -> Path:
    """Writes a teacher, a student, their records and their split."""
    metadata = {
        "arch": "tiny_mobilenet",
        "num_classes": 3,
        "class_names": list(NAMES),
        "overrides": {},
        "preprocessing": Preprocessing(image_size=32).to_dict(),
        "negative_class": "notumor",
        "head": "trained",
        "source": {"step": 7, "epoch": 2},
        "data": {
            "source": dataset.source,
            "fingerprint": dataset.fingerprint,
            "version": dataset.version,
            "split": split.kind,
            "split_description": split.describe(),
            "audit": split.audit,
        },
        "config": {
            "name": "fakd",
            "eval_batch_size": 4,
            "dtype": "float32",
            "data": {"source": dataset.source, "cache_dir": str(cache)},
        },
        "package_version": __version__,
    }
    for phase, seed in (("teacher", 1), ("student", 0)):
        model = create_model("tiny_mobilenet", num_classes=3, rngs=nnx.Rngs(seed))
        save_model(workdir / phase / "best" / "7", model_state(model), metadata)
    split.save(workdir / "split.json")
    record = {"phase": "student", "epoch": 1, "step": 7, "loss": 1.0, "accuracy": 0.5}
    lines = [json.dumps(record | {"kind": kind}) for kind in ("train", "val")]
    (workdir / "metrics.jsonl").write_text("\n".join(lines) + '\n{"phase": "stu')
    return workdir
