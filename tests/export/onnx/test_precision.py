"""Fewer bits: what is left as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from fakd_jax.export.onnx.network import build_model
from fakd_jax.export.onnx.precision import _biases_fit
from tests.tiny import tiny_predictor


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {
        each.name: onnx.numpy_helper.to_array(each)
        for each in model.graph.initializer
        if each.name.startswith("preprocessing_")
    }


def test_channels_whose_bias_would_be_clipped() -> None:
    kernel = np.zeros((2, 3, 1, 1), np.float32)
    kernel[:, 0, 0, 0] = 0.5, 1e-7
    assert _biases_fit(kernel, np.array([2.0, 0.01], np.float32))
    assert not _biases_fit(kernel, np.array([2.0, 2.0], np.float32))
    assert _biases_fit(kernel)


@pytest.mark.slow
def test_preprocessing_keeps_its_constants(tmp_path: Path) -> None:
    """Number of pixels included, which the conversion to float16 would clip to 10,000."""
    predictor = tiny_predictor(num_classes=4, image_size=128, intensity="head_percentiles")
    predictor.checkpoint = tmp_path
    single, half = (
        constants(build_model(predictor, precision, None)) for precision in ("float32", "float16")
    )
    assert any(value.size == 1 and value.max() == 122**2 for value in single.values())
    assert single.keys() == half.keys()
    for name, value in single.items():
        np.testing.assert_array_equal(half[name], value)
        assert half[name].dtype == value.dtype
