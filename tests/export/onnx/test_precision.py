"""Fewer bits: what is left as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from fakd_jax.export.onnx.network import build_model
from fakd_jax.export.onnx.precision import _biases_fit, _store_in_8_bits
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


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {"x": x})[0]


def test_large_kernels_are_stored_in_8_bits() -> None:
    rng = np.random.default_rng(0)
    scales = np.geomspace(0.01, 1, 200).astype(np.float32)  # of the outputs
    kernel = rng.normal(size=(200, 60)).astype(np.float32) * scales[:, None]
    kernel[7] = 0
    named = {"conv": kernel[..., None, None], "gemm": rng.normal(size=(200, 3)).astype(np.float32)}
    nodes = [
        onnx.helper.make_node("Conv", ["x", "conv"], ["maps"]),
        onnx.helper.make_node("Flatten", ["maps"], ["flat"]),
        onnx.helper.make_node("Gemm", ["flat", "gemm"], ["y"]),
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [value("x", onnx.TensorProto.FLOAT, ("n", 60, 1, 1))],
        [
            value("maps", onnx.TensorProto.FLOAT, ("n", 200, 1, 1)),
            value("y", onnx.TensorProto.FLOAT, ("n", 3)),
        ],
        [onnx.numpy_helper.from_array(array, name) for name, array in named.items()],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    x = rng.normal(size=(5, 60, 1, 1)).astype(np.float32)
    before = run(model, x)
    after = run(_store_in_8_bits(model), x)

    onnx.checker.check_model(model)
    stored = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    assert stored["conv_levels"].dtype == np.int8
    np.testing.assert_allclose(
        stored["conv_scale"], np.where(kernel.any(1), abs(kernel).max(1) / 127, 1), rtol=1e-6
    )
    assert stored["gemm"].dtype == np.float32, "small: as it was"
    # Each of 60 products is off by half a level at most.
    worst = 0.5 * stored["conv_scale"] * np.abs(x[:, :, 0, 0]).sum(axis=1, keepdims=True)
    assert np.all(np.abs(after - before)[..., 0, 0] <= 1.01 * worst)
    assert np.all(after[:, 7] == 0)
    assert np.any(after != before)


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
