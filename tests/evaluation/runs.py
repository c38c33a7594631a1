"""Data of noise and workdirs as training leaves them, with networks drawn at random."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from flax import nnx
from PIL import Image

from fakd_jax import __version__
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.data.splits import Split
from fakd_jax.models import create_model
from fakd_jax.models.checkpoint import save_model
from fakd_jax.models.state import model_state

NAMES = ("glioma", "notumor", "pituitary")


def write_images(folder: Path, names: tuple[str, ...], seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    for part, count in (("Training", 5), ("Testing", 3)):
        for name in names:
            (folder / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(0, 256, (36, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{index}.png")
    return folder


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
