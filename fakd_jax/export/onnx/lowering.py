"""A traced network as nodes of an ONNX graph.

JAX's networks have channels last, ONNX's convolutions have them second. Every array of four axes is
therefore kept as [B, C, H, W] in the graph, and every operation is given the axes it works on; only
where patches are laid out anew are arrays transposed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from fakd_jax.errors import UserError
from fakd_jax.export.onnx.graph import Graph

TRACED_BATCH = 3
"""Images in the traced batch: this length of the first axis is free in the graph."""

CHANNELS_SECOND = (0, 3, 1, 2)
CHANNELS_LAST = (0, 2, 3, 1)


@dataclass(frozen=True)
class Value:
    """An array in the graph.

    Attributes:
      name: in the graph.
      shape: as traced, channels last. In the graph, axes that were broadcast may have length 1.
    """

    name: str
    shape: tuple[int, ...]


Operand = Value | np.ndarray
Lowering = Callable[["Lowered", Any, list[Operand]], Operand]


class Lowered:
    """The translation of one traced function.

    Args:
      graph: nodes are added to it.
      operations: how each primitive of JAX is translated.
      functions: likewise functions of `jax.nn` that ONNX has an operation for, by name.
    """

    def __init__(
        self,
        graph: Graph,
        operations: dict[str, Lowering],
        functions: dict[str, Lowering],
    ) -> None:
        self.graph = graph
        self._operations = operations
        self._functions = functions

    def run(self, jaxpr: Any, constants: Sequence[Any], inputs: list[Operand]) -> list[Operand]:
        """Translates the equations of a jaxpr, and returns its outputs.

        What depends on no input, such as the shape of a kernel, is computed here and now.

        Raises:
          UserError: it has an operation that is not translated.
        """
        known: dict[Any, Operand] = {}
        known.update(zip(jaxpr.constvars, map(np.asarray, constants), strict=True))
        known.update(zip(jaxpr.invars, inputs, strict=True))

        def read(atom: Any) -> Operand:
            return np.asarray(atom.val) if hasattr(atom, "val") else known[atom]

        for equation in jaxpr.eqns:
            results = self._equation(equation, [read(atom) for atom in equation.invars])
            known.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, equation: Any, operands: list[Operand]) -> list[Operand]:
        kind, parameters = equation.primitive.name, equation.params
        if kind == "platform_index":
            return [np.asarray(parameters["platforms"].index(None))]
        if kind == "cond" and isinstance(operands[0], np.ndarray):
            branch = parameters["branches"][int(operands[0])]
            return self.run(branch.jaxpr, branch.consts, operands[1:])
        inner = parameters.get("jaxpr") or parameters.get("call_jaxpr")
        if inner is not None:
            if translate := self._functions.get(inner.jaxpr.debug_info.func_name):
                return [translate(self, equation, operands)]
            return self.run(inner.jaxpr, inner.consts, operands)
        if not any(isinstance(operand, Value) for operand in operands) and operands:
            computed = equation.primitive.bind(*operands, **parameters)
            several = equation.primitive.multiple_results
            return [np.asarray(result) for result in (computed if several else [computed])]
        if kind not in self._operations:
            raise UserError(
                f"the network computes {kind!r}, which has no translation to ONNX; write it with "
                "operations that have one (fakd_jax.export.onnx.operations), or export stablehlo"
            )
        return [self._operations[kind](self, equation, operands)]

    def name(self, operand: Operand) -> str:
        """The operand in the graph, with its channels second; constants are added."""
        if isinstance(operand, Value):
            return operand.name
        array = np.asarray(operand)
        return self.graph.constant(
            array.transpose(CHANNELS_SECOND) if array.ndim == 4 else array, array.dtype
        )

    def add(self, equation: Any, kind: str, *inputs: str, **attributes: Any) -> Value:
        """Adds the node that computes an equation's only output."""
        name = self.graph.add(kind, *inputs, **attributes)
        return Value(name, tuple(equation.outvars[0].aval.shape))

    def channels_last(self, value: Value) -> str:
        """The value in the order of its traced axes."""
        if len(value.shape) != 4:
            return value.name
        return self.graph.add("Transpose", value.name, perm=CHANNELS_LAST)

    def from_channels_last(self, name: str, shape: tuple[int, ...]) -> Value:
        """A node's output in the order of its traced axes, as a value."""
        if len(shape) == 4:
            name = self.graph.add("Transpose", name, perm=CHANNELS_SECOND)
        return Value(name, shape)


def axes_in_graph(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Where traced axes are in the graph."""
    return tuple(CHANNELS_SECOND.index(axis) if rank == 4 else axis for axis in axes)


def free_batch(shape: Sequence[int]) -> list[int]:
    """A shape for Reshape, in which the batch may have any length."""
    return [-1 if shape and shape[0] == TRACED_BATCH else shape[0], *shape[1:]]


def lower(
    function: Callable[[jax.Array], Sequence[jax.Array]],
    input_name: str,
    image_shape: tuple[int, int, int],
    graph: Graph,
) -> list[str]:
    """Adds a function of a batch of images to a graph.

    Args:
      function: from float32 [B, H, W, 3] to arrays.
      input_name: of the input in the graph, float32 [B, 3, H, W].
      image_shape: H, W and 3.
      graph: nodes are added to it.

    Returns:
      The names of the outputs in the graph.

    Raises:
      UserError: it has an operation that is not translated.
    """
    from fakd_jax.export.onnx.operations import FUNCTIONS, OPERATIONS

    shape = (TRACED_BATCH, *image_shape)
    traced = jax.make_jaxpr(function)(jax.ShapeDtypeStruct(shape, np.float32))
    lowered = Lowered(graph, OPERATIONS, FUNCTIONS)
    outputs = lowered.run(traced.jaxpr, traced.consts, [Value(input_name, shape)])
    return [lowered.name(output) for output in outputs]
