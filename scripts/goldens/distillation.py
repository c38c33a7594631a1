"""Reference values of the distillation terms, from their authors' own PyTorch code.

    mkdir references && cd references
    git clone https://github.com/megvii-research/mdistiller                   # a08d46f, MIT
    git clone https://github.com/hunto/DIST_KD                                # 2418f18, Apache-2.0
    git clone https://github.com/sunshangquan/logit-standardization-KD        # f6e5aa5
    git clone https://github.com/open-mmlab/mmrazor                           # 90c7af1, Apache-2.0
    cd .. && REFERENCES=references python scripts/make_goldens.py distillation

mdistiller is the DKD authors' and has AT and RKD too; mmrazor is where PKD's authors published it.
The code is called and not copied: inputs, losses and gradients are stored, in PyTorch's layout.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

BATCH, CLASSES, TEMPERATURE = 6, 4, 4.0


def write(output: Path) -> None:
    """Writes `output` (.npz): inputs, and every term's loss and gradient by the student's input."""
    if "REFERENCES" not in os.environ:
        raise SystemExit(f"set REFERENCES to a folder with these clones:\n{__doc__}")
    inputs = draw()
    arrays = dict(inputs)
    for name, (loss, student) in terms(Path(os.environ["REFERENCES"])).items():
        tensors = {key: torch.from_numpy(value) for key, value in inputs.items()}
        tensors[student].requires_grad_(True)
        value = loss(tensors)
        value.backward()
        arrays[f"{name}/loss"] = value.detach().numpy()
        arrays[f"{name}/gradient"] = tensors[student].grad.numpy()
    np.savez_compressed(output, **arrays)


def draw() -> dict[str, np.ndarray]:
    """The inputs; the student's maps are smaller than the teacher's, and not by a whole factor."""
    random = np.random.RandomState(0)

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    return {
        "student_logits": 3 * normal(BATCH, CLASSES),
        "teacher_logits": 3 * normal(BATCH, CLASSES),
        "labels": random.randint(0, CLASSES, BATCH).astype(np.int64),
        "student_map": normal(BATCH, 5, 4, 4),
        "teacher_map": normal(BATCH, 8, 7, 7),
        "aligned": 2 * normal(BATCH, 5, 4, 4) + 1,
        "features": 3 * normal(BATCH, 5, 4, 4) - 2,
        "student_vectors": normal(BATCH, 5),
        "teacher_vectors": normal(BATCH, 9) + 2,
    }


def terms(references: Path) -> dict[str, tuple[Callable[[dict[str, Any]], Any], str]]:
    """Each term as a function of the inputs, and the name of the student's."""
    distillers = references / "mdistiller/mdistiller/distillers"
    dkd, attention, rkd = (load(distillers / f"{name}.py") for name in ("DKD", "AT", "RKD"))
    dist = load(references / "DIST_KD/segmentation/losses/dist_kd.py")
    standardised = load(references / "logit-standardization-KD/mdistiller/distillers/KD.py")
    pkd = load(references / "mmrazor/mmrazor/models/losses/pkd_loss.py")

    def logits(inputs: dict[str, Any]) -> tuple[Any, Any]:
        return inputs["student_logits"], inputs["teacher_logits"]

    def decoupled(alpha: float, beta: float) -> Callable[[dict[str, Any]], Any]:
        return lambda i: dkd.dkd_loss(*logits(i), i["labels"], alpha, beta, TEMPERATURE)

    def relational(distance: float, angle: float) -> Callable[[dict[str, Any]], Any]:
        return lambda i: rkd.rkd_loss(
            i["student_vectors"],
            i["teacher_vectors"],
            distance_weight=distance,
            angle_weight=angle,
        )

    return {
        "tckd": (decoupled(1.0, 0.0), "student_logits"),
        "nckd": (decoupled(0.0, 1.0), "student_logits"),
        "dist_inter": (lambda i: dist.DIST(1.0, 0.0)(*logits(i)), "student_logits"),
        "dist_intra": (lambda i: dist.DIST(0.0, 1.0)(*logits(i)), "student_logits"),
        "standardised_kd": (
            lambda i: standardised.kd_loss(*logits(i), TEMPERATURE, True),
            "student_logits",
        ),
        "attention": (
            lambda i: attention.single_stage_at_loss(i["student_map"], i["teacher_map"], 2),
            "student_map",
        ),
        "correlation": (lambda i: pkd.PKDLoss()(i["aligned"], i["features"]), "aligned"),
        "rkd_distance": (relational(1.0, 0.0), "student_vectors"),
        "rkd_angle": (relational(0.0, 1.0), "student_vectors"),
    }


def load(file: Path) -> ModuleType:
    """Imports one file of a package whose other files are not needed."""
    for name in ("reference", "reference._base", "mmrazor", "mmrazor.registry"):
        module = sys.modules.setdefault(name, ModuleType(name))
        module.__dict__.update(Distiller=torch.nn.Module, MODELS=_Registry)
    spec = importlib.util.spec_from_file_location(f"reference.{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Registry:
    """Stands in for mmrazor's: registers nothing."""

    @staticmethod
    def register_module() -> Callable[[type], type]:
        return lambda kind: kind
