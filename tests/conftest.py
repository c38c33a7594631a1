"""Fixtures shared by every room: the folder of real data and weights, and tiny networks."""

from __future__ import annotations

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real MRI and ImageNet weights beside the repository, or a visible skip."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no ../shared folder with real data and weights beside the repository")
    return folder


@pytest.fixture(scope="session", autouse=True)
def tiny_models() -> None:
    """Registers `tiny_resnet` and `tiny_mobilenet`: the real classes, small enough for tests."""
    from fakd_jax.models import mobilenet_v3, register, resnet

    @register("tiny_resnet")
    def tiny_resnet(**kwargs: object) -> resnet.ResNet:
        return resnet.ResNet(stage_sizes=(1, 1, 1, 1), width=8, **kwargs)

    @register("tiny_mobilenet")
    def tiny_mobilenet(**kwargs: object) -> mobilenet_v3.MobileNetV3:
        return mobilenet_v3.MobileNetV3(
            settings=mobilenet_v3.MOBILENET_V3_LARGE_SETTINGS[:5], last_channel=32, **kwargs
        )
