"""A network's ONNX model in fewer bits: float16, or int8 by static quantisation."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from fakd_jax.runtime.extras import import_extra

_CALIBRATION_BATCH = 8
_PERCENTILE = 99.99
"""Of a feature map's values, those in its range of 8 bits; the few beyond are clipped."""
_FIRST = 3
"""Convolutions that stay in float32: MobileNetV3's stem and first block."""
_LARGEST_BIAS = 1e6
"""Of a channel, in units of its largest weight. A bias is stored as a multiple of that weight's
scale in 32 bits, and beyond them it would be clipped, as in channels that hardly use their input.
"""
_OUTPUT_AXES = {"Conv": 0, "Gemm": 1}
"""Of the kernels."""
_LARGE = 10_000
"""Values of a kernel from which it is stored in 8 bits."""


class _Batches:
    """What ONNX Runtime reads inputs from, by the interface of its `CalibrationDataReader`."""

    def __init__(self, inputs: Float32[np.ndarray, "N 3 S S"]) -> None:
        starts = range(0, len(inputs), _CALIBRATION_BATCH)
        self._batches = (inputs[start : start + _CALIBRATION_BATCH] for start in starts)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"inputs": batch}


def to_float16(model: Any) -> Any:
    """Brings the network to float16; its inputs and outputs stay float32."""
    convert = import_extra("onnxruntime.transformers.float16", "onnx", "exporting in float16")
    tools = import_extra("onnxruntime.quantization.onnx_model", "onnx", "exporting in float16")
    sortable = tools.ONNXModel(convert.convert_float_to_float16(model, keep_io_types=True))
    sortable.topological_sort()  # the conversion puts its casts last
    return sortable.model


def to_int8(model: Any, inputs: Float32[np.ndarray, "N 3 S S"]) -> Any:
    """Quantises the convolutions of feature maps to 8 bits, and their weights, by channel, to 7.

    What follows a global average pool computes in float32: squeeze-and-excitation, whose gates
    scale whole channels, and the classifier. So do the first convolutions, which see few channels
    of very different ranges, and those with a channel of weights too small for its bias. Their
    larger kernels are stored in 8 bits.

    Args:
      model: in float32.
      inputs: prepared training images; the ranges of the feature maps are measured on them, which
        takes about 25 MB of memory for each.

    Returns:
      The quantised `onnx.ModelProto`.
    """
    onnx = import_extra("onnx", "onnx", "exporting in int8")
    quantization = import_extra("onnxruntime.quantization", "onnx", "exporting in int8")
    prepare = import_extra("onnxruntime.quantization.shape_inference", "onnx", "exporting in int8")

    with tempfile.TemporaryDirectory() as folder:
        original, folded, quantised = (str(Path(folder) / f"{i}.onnx") for i in range(3))
        onnx.save(model, original)
        prepare.quant_pre_process(original, folded, skip_symbolic_shape=True)
        prepared = onnx.load(folded)
        arrays = {
            each.name: onnx.numpy_helper.to_array(each) for each in prepared.graph.initializer
        }
        with redirect_stdout(StringIO()):  # it prints what it does
            quantization.quantize_static(
                folded,
                quantised,
                _Batches(inputs),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                nodes_to_quantize=_quantised(prepared, arrays),
                per_channel=True,
                # With 8 bits, pairs of products overflow where there are no 8-bit dot products.
                reduce_range=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.Percentile,
                extra_options={"CalibPercentile": _PERCENTILE},
            )
        return _store_in_8_bits(onnx.load(quantised))


def _quantised(model: Any, arrays: Mapping[str, np.ndarray]) -> list[str]:
    """The names of the convolutions that :func:`to_int8` quantises.

    Args:
      model: its batch norms and biases are folded into the convolutions.
      arrays: its constants by name.
    """
    pooled: set[str] = set()  # values that depend on feature maps by their averages alone
    convolutions = []
    for node in model.graph.node:
        inputs = [name for name in node.input if name and name not in arrays]
        after_pool = bool(inputs) and pooled.issuperset(inputs)
        if node.op_type == "GlobalAveragePool" or after_pool:
            pooled.update(node.output)
        if node.op_type == "Conv" and not after_pool:
            convolutions.append(node)
    return [
        node.name
        for node in convolutions[_FIRST:]
        if _biases_fit(*(arrays[name] for name in node.input[1:]))
    ]


def _store_in_8_bits(model: Any) -> Any:
    """Stores what kernels are left in float32, if large, as int8 with a scale for each output.

    ONNX Runtime brings them back to float32 when it opens the file.
    """
    onnx = import_extra("onnx", "onnx", "exporting in int8")
    graph = model.graph
    arrays = {each.name: each for each in graph.initializer}
    for node in list(graph.node):
        if node.op_type not in _OUTPUT_AXES or node.input[1] not in arrays:
            continue
        stored = arrays[node.input[1]]
        kernel = onnx.numpy_helper.to_array(stored)
        if kernel.dtype != np.float32 or kernel.size < _LARGE:
            continue
        axis, name = _OUTPUT_AXES[node.op_type], stored.name
        others = tuple(each for each in range(kernel.ndim) if each != axis)
        scale = np.abs(kernel).max(axis=others, keepdims=True) / 127
        scale[scale == 0] = 1
        levels = np.rint(kernel / scale).astype(np.int8)
        graph.initializer.remove(stored)
        for suffix, array in (("levels", levels), ("scale", scale.ravel())):
            graph.initializer.append(onnx.numpy_helper.from_array(array, f"{name}_{suffix}"))
        names = [f"{name}_levels", f"{name}_scale"]
        graph.node.insert(0, onnx.helper.make_node("DequantizeLinear", names, [name], axis=axis))
    return model


def _biases_fit(
    kernel: Float32[np.ndarray, "O I k l"], bias: Float32[np.ndarray, " O"] | None = None
) -> bool:
    """Whether no channel's bias is too large for its weights."""
    largest = np.abs(kernel).max(axis=(1, 2, 3))
    return bias is None or bool(np.all(np.abs(bias) <= _LARGEST_BIAS * largest))
