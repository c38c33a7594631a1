"""A network's ONNX model in fewer bits: float16, or int8 by static quantisation."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from fakd_jax.runtime.extras import import_extra

_CALIBRATION_BATCH = 8
_FIRST = 3
"""Convolutions that stay in float32: MobileNetV3's stem and first block."""
_PERCENTILE = 99.99
"""Of the values of a feature map: the largest few are clipped, so that the others keep more bits
(Wu et al., "Integer quantization for deep learning inference", arXiv:2004.09602)."""


def to_float16(model: Any) -> Any:
    """Brings the network to float16; its inputs and outputs stay float32."""
    convert = import_extra("onnxruntime.transformers.float16", "onnx", "exporting in float16")
    tools = import_extra("onnxruntime.quantization.onnx_model", "onnx", "exporting in float16")
    sortable = tools.ONNXModel(convert.convert_float_to_float16(model, keep_io_types=True))
    sortable.topological_sort()  # the conversion puts its casts last
    return sortable.model


def to_int8(model: Any, inputs: Float32[np.ndarray, "N 3 S S"]) -> Any:
    """Quantises the convolutions of feature maps to 8 bits, weights by channel.

    What follows a global average pool stays in float32: squeeze-and-excitation, whose gates scale
    whole channels, and the classifier. So do the first convolutions, which see few channels of
    very different ranges. These have a small part of the multiplications.

    Args:
      model: in float32.
      inputs: prepared training images; the ranges of the feature maps are measured on them.

    Returns:
      The quantised `onnx.ModelProto`.
    """
    onnx = import_extra("onnx", "onnx", "exporting in int8")
    quantization = import_extra("onnxruntime.quantization", "onnx", "exporting in int8")
    prepare = import_extra("onnxruntime.quantization.shape_inference", "onnx", "exporting in int8")

    class Calibration(quantization.CalibrationDataReader):
        """Batches of inputs."""

        def __init__(self) -> None:
            self._batches: Iterator[np.ndarray] = (
                inputs[start : start + _CALIBRATION_BATCH]
                for start in range(0, len(inputs), _CALIBRATION_BATCH)
            )

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"inputs": batch}

    with tempfile.TemporaryDirectory() as folder:
        original, folded, quantised = (str(Path(folder) / f"{i}.onnx") for i in range(3))
        onnx.save(model, original)
        prepare.quant_pre_process(original, folded, skip_symbolic_shape=True)
        quantization.quantize_static(
            folded,
            quantised,
            Calibration(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_quantize=_quantised(onnx.load(folded)),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QUInt8,
            calibrate_method=quantization.CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": _PERCENTILE},
        )
        return onnx.load(quantised)


def _quantised(model: Any) -> list[str]:
    """The names of the convolutions that :func:`to_int8` quantises."""
    constants = {each.name for each in model.graph.initializer}
    pooled: set[str] = set()  # values that depend on feature maps by their averages alone
    convolutions = []
    for node in model.graph.node:
        inputs = [name for name in node.input if name and name not in constants]
        after_pool = bool(inputs) and pooled.issuperset(inputs)
        if node.op_type == "GlobalAveragePool" or after_pool:
            pooled.update(node.output)
        if node.op_type == "Conv" and not after_pool:
            convolutions.append(node.name)
    return convolutions[_FIRST:]
