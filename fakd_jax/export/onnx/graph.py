"""An ONNX graph while it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fakd_jax.runtime.extras import import_extra

OPSET = 18
"""The first whose Resize can antialias."""

IR_VERSION = 10
"""Of the file: ONNX Runtime 1.18 and later read it."""


class Graph:
    """Nodes and constants in the order of computation.

    Args:
      prefix: of all names, so that two graphs can be joined.
    """

    def __init__(self, prefix: str = "") -> None:
        self.onnx = import_extra("onnx", "onnx", "exporting to ONNX")
        self.prefix = prefix
        self.nodes: list[Any] = []
        self._constants: dict[tuple[Any, ...], str] = {}
        self._initializers: list[Any] = []

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node with one output, and returns the name of that."""
        name = f"{self.prefix}{len(self.nodes)}_{kind}"
        node = self.onnx.helper.make_node(kind, inputs, [name], name=name, **attributes)
        self.nodes.append(node)
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """The name of a constant; equal ones are stored once."""
        array = np.ascontiguousarray(value, dtype).reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = f"{self.prefix}constant_{len(self._constants)}"
            named = self.onnx.numpy_helper.from_array(array, self._constants[key])
            self._initializers.append(named)
        return self._constants[key]

    def integers(self, *values: int) -> str:
        """The name of a constant int64 vector, as shapes and axes are given."""
        return self.constant(np.array(values, np.int64), np.int64)

    def model(
        self,
        inputs: Mapping[str, tuple[str, Sequence[str | int]]],
        outputs: Mapping[str, tuple[str, str, Sequence[str | int]]],
    ) -> Any:
        """The finished `onnx.ModelProto`.

        Args:
          inputs: by name, the dtype ("UINT8", "FLOAT") and the shape, free sizes by a name.
          outputs: by name, the value that it is, its dtype and shape.

        Raises:
          onnx.checker.ValidationError: the graph is not valid, which is a bug.
        """
        helper, types = self.onnx.helper, self.onnx.TensorProto
        for name, (value, _, _) in outputs.items():
            node = f"{self.prefix}output_{name}"
            self.nodes.append(helper.make_node("Identity", [value], [name], name=node))

        def described(name: str, dtype: str, shape: Sequence[str | int]) -> Any:
            return helper.make_tensor_value_info(name, getattr(types, dtype), list(shape))

        graph = helper.make_graph(
            self.nodes,
            "fakd_jax",
            [described(name, *kind) for name, kind in inputs.items()],
            [described(name, dtype, shape) for name, (_, dtype, shape) in outputs.items()],
            self._initializers,
            # ONNX Runtime computes in place where it knows that shapes are equal; it cannot
            # infer them through Resize.
            value_info=[described(value, dtype, shape) for value, dtype, shape in outputs.values()],
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
        model.producer_name = "fakd_jax"
        self.onnx.checker.check_model(model)
        return model
