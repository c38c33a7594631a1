"""Reference values of the losses, the projection and the upsampling, from PyTorch.

Everything is stored in PyTorch's own layout (NCHW, OIHW); `tests/distillation` transposes it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

# name: batch, student's channels and size, teacher's channels and size, alpha, beta, temperature
CASES = {
    "paper": (4, (12, 7, 7), (16, 14, 14), 0.5, 1.0, 3.0),
    "odd": (3, (5, 5, 3), (7, 8, 11), 0.3, 2.5, 4.5),
    "shrinking": (2, (6, 9, 11), (4, 4, 5), 0.9, 0.1, 1.0),
    "same_size": (2, (3, 4, 4), (5, 4, 4), 0.5, 1.0, 20.0),
}
# The paper's shapes: too large to store, so the test draws the inputs too, and only the losses and
# the gradients of the logits and the bias are stored.
FULL = (2, (960, 7, 7), (1024, 14, 14), 0.5, 1.0, 3.0)
SIZES = [
    ((7, 7), (14, 14)),
    ((4, 5), (9, 7)),
    ((9, 10), (4, 3)),
    ((1, 3), (5, 1)),
    ((6, 2), (6, 7)),
]
CLASSES = 4


def write(output: Path) -> None:
    """Writes `output` (.npz): inputs, losses and gradients of every case; upsampled maps."""
    arrays: dict[str, np.ndarray] = {}
    for seed, (name, case) in enumerate(CASES.items()):
        inputs = draw(seed, case)
        for key, value in (inputs | evaluate(inputs, case)).items():
            arrays[f"{name}/{key}"] = value
        arrays[f"{name}/settings"] = np.array(case[3:])
        arrays[f"{name}/size"] = np.array(case[2][1:])
    kept = ("ce", "kd", "fa", "total", "grad_student_logits", "grad_bias")
    results = evaluate(draw(0, FULL), FULL)
    arrays |= {f"full/{key}": results[key] for key in kept}
    random = np.random.RandomState(0)
    for index, (old, new) in enumerate(SIZES):
        image = random.standard_normal((2, 3, *old)).astype(np.float32)
        arrays[f"upsample{index}/image"] = image
        arrays[f"upsample{index}/resized"] = functional.interpolate(
            torch.from_numpy(image), size=new, mode="bilinear", align_corners=False
        ).numpy()
    np.savez_compressed(output, **arrays)


def draw(seed: int, case: tuple) -> dict[str, np.ndarray]:
    """Inputs of one case, the same everywhere: RandomState's stream is frozen."""
    batch, student, teacher, *_ = case
    random = np.random.RandomState(seed)
    bound = 1 / np.sqrt(student[0])
    return {
        "student_logits": 3 * random.standard_normal((batch, CLASSES)).astype(np.float32),
        "teacher_logits": 3 * random.standard_normal((batch, CLASSES)).astype(np.float32),
        "labels": random.randint(0, CLASSES, batch).astype(np.int64),
        "student_features": random.standard_normal((batch, *student)).astype(np.float32),
        "teacher_features": random.standard_normal((batch, *teacher)).astype(np.float32),
        "kernel": random.uniform(-bound, bound, (teacher[0], student[0], 1, 1)).astype(np.float32),
        "bias": random.uniform(-bound, bound, teacher[0]).astype(np.float32),
    }


def evaluate(inputs: dict[str, np.ndarray], case: tuple) -> dict[str, np.ndarray]:
    """The losses in the paper's order of operations: upsampling, then projection."""
    _, _, teacher, alpha, beta, temperature = case
    tensors = {key: torch.from_numpy(value.copy()) for key, value in inputs.items()}
    learned = ("student_logits", "student_features", "kernel", "bias")
    for key in learned:
        tensors[key].requires_grad_(True)
    upsampled = functional.interpolate(
        tensors["student_features"], size=teacher[1:], mode="bilinear", align_corners=False
    )
    aligned = functional.conv2d(upsampled, tensors["kernel"], tensors["bias"])
    losses = {
        "ce": functional.cross_entropy(tensors["student_logits"], tensors["labels"]),
        "kd": functional.kl_div(
            functional.log_softmax(tensors["student_logits"] / temperature, dim=1),
            functional.softmax(tensors["teacher_logits"] / temperature, dim=1),
            reduction="batchmean",
        )
        * temperature**2,
        "fa": functional.mse_loss(aligned, tensors["teacher_features"]),
    }
    total = (1 - alpha) * losses["ce"] + alpha * losses["kd"] + beta * losses["fa"]
    total.backward()
    return {
        **{key: value.detach().numpy() for key, value in losses.items()},
        "total": total.detach().numpy(),
        "aligned": aligned.detach().numpy(),
        **{f"grad_{key}": tensors[key].grad.numpy() for key in learned},
    }
