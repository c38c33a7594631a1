"""Measures, sides and sizes."""

from __future__ import annotations

from dataclasses import dataclass

NUM_CLASSES = 4
TEMPERATURE, ALPHA, BETA = 3.0, 0.5, 1.0
LEARNING_RATE, WEIGHT_DECAY = 1e-4, 1e-5

# `ours`: this package in the precision that its commands choose; `ours_bf16` in bfloat16, which on
# a GPU is the same. The others: torchvision's networks in the channels-last layout; `torch` eager
# (under float16 autocast on a GPU), `torch_compile` the same compiled, `torch_bf16` eager under
# bfloat16 autocast; `onnx` ONNX Runtime on PyTorch's own export.
# Our commands set glibc's allocator to keep memory and use huge pages; `torch_tuned` is `torch`
# with the same settings.
OURS = ("ours", "ours_bf16")
SIDES = (*OURS, "torch", "torch_tuned", "torch_bf16", "torch_compile", "onnx")
_TRAINING = (*OURS, "torch", "torch_tuned", "torch_bf16", "torch_compile")
_INFERENCE = SIDES
MEASURES = {
    "fakd_step": _TRAINING,
    "ce_step": _TRAINING,
    "teacher_step": _TRAINING,
    "teacher_forward_b1": _INFERENCE,
    "teacher_forward": _INFERENCE,
    "student_forward_b1": _INFERENCE,
    "student_forward": _INFERENCE,
    "input_pipeline": ("ours", "torch"),
    "lime": ("ours", "torch"),
}


@dataclass(frozen=True)
class Settings:
    """Sizes that all sides share.

    Attributes:
      batch: images of a training step and of the large forward passes.
      image_size: pixels per side.
      lime_samples: perturbed images of one explanation.
      seed: of images, labels and initial values.
    """

    batch: int
    image_size: int
    lime_samples: int
    seed: int


def sides_of(measure: str) -> tuple[str, ...]:
    """The sides that have a measure."""
    return MEASURES[measure]


def batch_of(measure: str, settings: Settings) -> int:
    """Images per call of a measure."""
    return 1 if measure.endswith("_b1") else settings.batch
