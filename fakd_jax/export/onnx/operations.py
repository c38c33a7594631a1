"""The operations of JAX that networks are made of, each as one of ONNX or a few."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fakd_jax.errors import UserError
from fakd_jax.export.onnx.lowering import (
    TRACED_BATCH,
    Lowered,
    Lowering,
    Operand,
    Value,
    axes_in_graph,
    free_batch,
)

_HARD_SIGMOID = {"alpha": 1 / 6, "beta": 0.5}


def _elementwise(kind: str) -> Lowering:
    def translate(lowered: Lowered, equation: Any, operands: list[Operand]) -> Value:
        return lowered.add(equation, kind, *map(lowered.name, operands))

    return translate


def _function(compute: Callable[[Lowered, Any, str], Value]) -> Lowering:
    """Of a function of one array."""

    def translate(lowered: Lowered, equation: Any, operands: list[Operand]) -> Value:
        return compute(lowered, equation, lowered.name(operands[0]))

    return translate


def _convolution(lowered: Lowered, equation: Any, operands: list[Operand]) -> Value:
    image, kernel = operands
    parameters = equation.params
    plain = (
        parameters["dimension_numbers"] == ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
        and set(parameters["lhs_dilation"]) == {1}
        and parameters["batch_group_count"] == 1
        and isinstance(kernel, np.ndarray)
    )
    if not plain:
        raise UserError("a convolution of this kind has no translation to ONNX; export stablehlo")
    (top, bottom), (left, right) = parameters["padding"]
    weights = lowered.graph.constant(np.asarray(kernel).transpose(3, 2, 0, 1))
    return lowered.add(
        equation,
        "Conv",
        lowered.name(image),
        weights,
        strides=parameters["window_strides"],
        dilations=parameters["rhs_dilation"],
        group=parameters["feature_group_count"],
        pads=[top, left, bottom, right],
        kernel_shape=kernel.shape[:2],
    )


def _product(lowered: Lowered, equation: Any, operands: list[Operand]) -> Value:
    """A product of the last axis with a matrix; of a feature map, as a 1×1 convolution."""
    rows, matrix = operands
    dimensions = equation.params["dimension_numbers"]
    last = len(np.shape(rows) if isinstance(rows, np.ndarray) else rows.shape) - 1
    if dimensions != (((last,), (0,)), ((), ())) or not isinstance(matrix, np.ndarray):
        raise UserError("a product of this kind has no translation to ONNX; export stablehlo")
    if last != 3:
        return lowered.add(equation, "MatMul", lowered.name(rows), lowered.name(matrix))
    weights = lowered.graph.constant(matrix.T[:, :, None, None])
    return lowered.add(equation, "Conv", lowered.name(rows), weights, kernel_shape=(1, 1))


def _broadcast(lowered: Lowered, equation: Any, operands: list[Operand]) -> Value:
    """Adds axes of length 1: what reads the result broadcasts by itself, as ONNX does."""
    (operand,) = operands
    assert isinstance(operand, Value)
    shape, kept = equation.outvars[0].aval.shape, equation.params["broadcast_dimensions"]
    rank = len(shape)
    added = axes_in_graph([axis for axis in range(rank) if axis not in kept], rank)
    if not added:
        return Value(operand.name, shape)
    positions = axes_in_graph(kept, rank)
    if list(positions) == sorted(positions):
        return lowered.add(
            equation, "Unsqueeze", operand.name, lowered.graph.integers(*sorted(added))
        )
    raise UserError("axes added among channels have no translation to ONNX; export stablehlo")


def _squeeze(lowered: Lowered, equation: Any, operands: list[Operand]) -> Value:
    (operand,) = operands
    assert isinstance(operand, Value)
    axes = axes_in_graph(equation.params["dimensions"], len(operand.shape))
    return lowered.add(equation, "Squeeze", operand.name, lowered.graph.integers(*axes))


def _slice(lowered: Lowered, equation: Any, operands: list[Operand]) -> Value:
    (operand,) = operands
    assert isinstance(operand, Value)
    parameters, rank = equation.params, len(operand.shape)
    steps = parameters["strides"] or (1,) * rank
    starts, ends = parameters["start_indices"], parameters["limit_indices"]
    cut = [
        axis
        for axis in range(rank)
        if (starts[axis], ends[axis], steps[axis]) != (0, operand.shape[axis], 1)
    ]
    if not cut:
        return operand
    integers = lowered.graph.integers
    return lowered.add(
        equation,
        "Slice",
        operand.name,
        integers(*(starts[axis] for axis in cut)),
        integers(*(ends[axis] for axis in cut)),
        integers(*axes_in_graph(cut, rank)),
        integers(*(steps[axis] for axis in cut)),
    )


def _pad(lowered: Lowered, equation: Any, operands: list[Operand]) -> Value:
    operand, filling = operands
    assert isinstance(operand, Value)
    padding = equation.params["padding_config"]
    if any(between for _, _, between in padding):
        raise UserError("padding between pixels has no translation to ONNX; export stablehlo")
    order = axes_in_graph(range(len(padding)), len(padding))
    before, after = np.zeros(len(padding), int), np.zeros(len(padding), int)
    before[list(order)], after[list(order)] = ([side[i] for side in padding] for i in (0, 1))
    amounts = lowered.graph.integers(*before, *after)
    return lowered.add(equation, "Pad", operand.name, amounts, lowered.name(filling))


def _rearrangement(kind: str) -> Lowering:
    """Reshape or transpose, in the order of the traced axes."""

    def translate(lowered: Lowered, equation: Any, operands: list[Operand]) -> Value:
        (operand,) = operands
        assert isinstance(operand, Value)
        shape, source = tuple(equation.outvars[0].aval.shape), lowered.channels_last(operand)
        if kind == "transpose":
            name = lowered.graph.add("Transpose", source, perm=equation.params["permutation"])
        else:
            target = lowered.graph.integers(*free_batch(shape))
            name = lowered.graph.add("Reshape", source, target)
        return lowered.from_channels_last(name, shape)

    return translate


def _sum(lowered: Lowered, equation: Any, operands: list[Operand]) -> Value:
    (operand,) = operands
    assert isinstance(operand, Value)
    if operand.shape[0] == TRACED_BATCH and 0 in equation.params["axes"]:
        raise UserError("a sum over images has no translation to ONNX; export stablehlo")
    graph = lowered.graph
    if len(operand.shape) == 4 and equation.params["axes"] == (1, 2):  # stays in Conv's layout
        mean = graph.add("GlobalAveragePool", operand.name)
        area = graph.constant(np.float32(operand.shape[1] * operand.shape[2]))
        return lowered.add(equation, "Squeeze", graph.add("Mul", mean, area), graph.integers(2, 3))
    axes = graph.integers(*axes_in_graph(equation.params["axes"], len(operand.shape)))
    return lowered.add(equation, "ReduceSum", operand.name, axes, keepdims=0)


def _max_pool(lowered: Lowered, equation: Any, operands: list[Operand]) -> Value:
    parameters = equation.params
    (top, bottom), (left, right) = parameters["padding"][1:3]
    return lowered.add(
        equation,
        "MaxPool",
        lowered.name(operands[0]),
        kernel_shape=parameters["window_dimensions"][1:3],
        strides=parameters["window_strides"][1:3],
        pads=[top, left, bottom, right],
    )


def _power(lowered: Lowered, equation: Any, operands: list[Operand]) -> Value:
    exponent = lowered.graph.constant(np.float32(equation.params["y"]))
    return lowered.add(equation, "Pow", lowered.name(operands[0]), exponent)


def _square(lowered: Lowered, equation: Any, name: str) -> Value:
    return lowered.add(equation, "Mul", name, name)


def _reciprocal_root(lowered: Lowered, equation: Any, name: str) -> Value:
    return lowered.add(equation, "Reciprocal", lowered.graph.add("Sqrt", name))


def _complementary_error(lowered: Lowered, equation: Any, name: str) -> Value:
    one = lowered.graph.constant(np.float32(1))
    return lowered.add(equation, "Sub", one, lowered.graph.add("Erf", name))


def _silu(lowered: Lowered, equation: Any, name: str) -> Value:
    return lowered.add(equation, "Mul", name, lowered.graph.add("Sigmoid", name))


def _add_relu(lowered: Lowered, equation: Any, operands: list[Operand]) -> Value:
    total = lowered.graph.add("Add", *map(lowered.name, operands))
    return lowered.add(equation, "Relu", total)


def _same(lowered: Lowered, equation: Any, operands: list[Operand]) -> Operand:
    del lowered, equation
    return operands[0]


OPERATIONS: dict[str, Lowering] = {
    **{name: _elementwise(name.capitalize()) for name in ("add", "sub", "mul", "div", "max")},
    **{name: _elementwise(name.capitalize()) for name in ("min", "neg", "erf", "sqrt", "exp")},
    "tanh": _elementwise("Tanh"),
    "logistic": _elementwise("Sigmoid"),
    "square": _function(_square),
    "integer_pow": _power,
    "rsqrt": _function(_reciprocal_root),
    "erfc": _function(_complementary_error),
    "conv_general_dilated": _convolution,
    "dot_general": _product,
    "broadcast_in_dim": _broadcast,
    "squeeze": _squeeze,
    "slice": _slice,
    "pad": _pad,
    "reshape": _rearrangement("reshape"),
    "transpose": _rearrangement("transpose"),
    "reduce_sum": _sum,
    "reduce_window_max": _max_pool,
    "copy": _same,
    "copy_p": _same,
    "stop_gradient": _same,
    "convert_element_type": _same,
}

FUNCTIONS: dict[str, Lowering] = {
    "relu": _elementwise("Relu"),
    "hard_sigmoid": _function(
        lambda lowered, equation, name: lowered.add(equation, "HardSigmoid", name, **_HARD_SIGMOID)
    ),
    "hard_silu": _elementwise("HardSwish"),
    "silu": _function(_silu),
    "global_average_pool": _elementwise("GlobalAveragePool"),
    "add_relu": _add_relu,
}
