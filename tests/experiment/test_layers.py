"""Layers that suit the networks, and settings that they do not have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fakd_jax.experiment.layers import choose_layers, leave_out_momentum
from tests.tiny import tiny_config


def chosen(data: Path, cache: Path, **changes: object) -> tuple[str, str, str]:
    distillation = choose_layers(tiny_config("fakd", data, cache, **changes)).distillation
    return distillation.teacher_layer, distillation.student_layer, distillation.lesion_layer


def test_named_layers_are_kept_and_those_that_are_not_compared_stay(
    data: Path, cache: Path
) -> None:
    assert chosen(data, cache) == ("layer3", "features.4", "auto")
    named = {"distillation.teacher_layer": "layer2"}
    assert chosen(data, cache, **named) == ("layer2", "features.4", "auto")
    without_teacher = {"distillation.alpha": 0.0, "distillation.beta": 0.0}
    assert chosen(data, cache, **without_teacher) == ("auto", "features.4", "auto")


def test_lesions_are_compared_before_the_last_halving(data: Path, cache: Path) -> None:
    changes = {
        "data.lesion_masks": "own",
        "distillation.terms.lesion_attention": 1.0,
        "distillation.terms.right_reasons": 1.0,
        "distillation.student_layer": "auto",
    }
    assert chosen(data, cache, **changes) == ("layer3", "features.4", "features.2")
    named = changes | {"distillation.right_reasons_layer": "auto"}
    config = choose_layers(tiny_config("fakd", data, cache, **named))
    assert config.distillation.right_reasons_layer == "features.2"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "teachers", "students"),
    [
        ("resnet18", "layer3", "layer4"),
        ("resnet50", "layer3", "layer4"),
        ("mobilenet_v3_large", "features.12", "features.16"),
        ("mobilenet_v3_small", "features.8", "features.12"),
        ("efficientnet_b0", "features.5", "features.8"),
        ("convnext_tiny", "features.5", "features.7"),
    ],
)
@pytest.mark.parametrize("image_size", [64, 224])
def test_the_layers_of_every_network(
    data: Path, cache: Path, arch: str, teachers: str, students: str, image_size: int
) -> None:
    changes = {
        "data.image_size": image_size,
        "teacher.arch": arch,
        "student.arch": arch,
        "distillation.student_layer": "auto",
    }
    assert chosen(data, cache, **changes)[:2] == (teachers, students)


def test_a_momentum_of_a_network_without_batch_norms_is_left_out(
    data: Path, cache: Path, log_lines: Callable[[], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    config = tiny_config("fakd", data, cache, **{"student.arch": "convnext_tiny"})
    plain = leave_out_momentum(config)
    assert (plain.teacher.batch_norm_momentum, plain.student.batch_norm_momentum) == (0.5, None)
    assert "config.student.batch_norm_momentum has no effect" in log_lines()
    assert leave_out_momentum(plain) is plain
