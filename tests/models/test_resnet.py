"""ResNet: where the strides are, which blocks project."""

from __future__ import annotations

import functools

import jax
import numpy as np
import pytest
from flax import nnx

from fakd_jax.models import create_model, feature_shapes
from fakd_jax.models.layers import BatchNorm
from fakd_jax.models.resnet import Bottleneck, ResNet


def bottleneck(in_features: int, *, stride: int) -> Bottleneck:
    norm = functools.partial(BatchNorm, momentum=0.9, epsilon=1e-5)
    return Bottleneck(in_features, 4, stride=stride, norm=norm, dtype=np.float32, rngs=nnx.Rngs(0))


def test_the_stride_is_in_the_3x3_convolution() -> None:
    block = bottleneck(8, stride=2)
    assert (block.conv1.stride, block.conv2.stride, block.conv3.stride) == (1, 2, 1)
    assert block.downsample_conv is not None
    assert block.downsample_conv.stride == 2


@pytest.mark.parametrize(("in_features", "projects"), [(16, False), (8, True)])
def test_only_blocks_that_change_the_shape_project(in_features: int, projects: bool) -> None:
    block = bottleneck(in_features, stride=1)
    assert (block.downsample_conv is not None) is projects
    assert (block.downsample_bn is not None) is projects


def test_the_papers_teacher_feature() -> None:
    shapes = feature_shapes("resnet50", 224)
    assert shapes["layer3"] == (14, 14, 1024)
    assert shapes == {
        "layer1": (56, 56, 256),
        "layer2": (28, 28, 512),
        "layer3": (14, 14, 1024),
        "layer4": (7, 7, 2048),
        "maxpool": (56, 56, 64),
        "pre_logits": (1, 1, 2048),
        "relu": (112, 112, 64),
    }


def test_torchvisions_batch_norm_constants() -> None:
    model = create_model("tiny_resnet", num_classes=2, rngs=nnx.Rngs(0))
    assert isinstance(model, ResNet)
    assert model.bn1.epsilon == 1e-5
    assert model.bn1.momentum == pytest.approx(0.9)
    assert len(jax.tree.leaves(nnx.state(model, nnx.BatchStat))) == 2 * 17
