"""Images of any size to a network's input, as nodes of a graph.

What :mod:`fakd_jax.data.preprocessing` and :mod:`fakd_jax.data.intensity` compute. ONNX Runtime's
resizing is within one grey level of Pillow's: other intermediate values are rounded. The rest is
the same.
"""

from __future__ import annotations

import numpy as np

from fakd_jax.data import intensity
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.export.onnx.graph import Graph

_LEVELS = 256


def add_preprocessing(graph: Graph, images: str, preprocessing: Preprocessing) -> str:
    """Adds resizing, the intensity rule and normalisation.

    Args:
      graph: nodes are added to it.
      images: the input's name, uint8 [B, H, W, 3].
      preprocessing: the checkpoint's.

    Returns:
      The name of the network's input, float32 [B, 3, S, S].
    """
    resized = _resize(graph, images, preprocessing.image_size)
    grey_levels = graph.add("Cast", resized, to=graph.onnx.TensorProto.FLOAT)
    if preprocessing.intensity != "none":
        landmarks = _landmarks(graph, resized, preprocessing.image_size)
        grey_levels = _to_fixed_levels(graph, grey_levels, *landmarks)
    mean, std = (np.array(values) for values in (preprocessing.mean, preprocessing.std))
    factor = graph.constant((1 / (255 * std)).reshape(1, 3, 1, 1))
    offset = graph.constant((-mean / std).reshape(1, 3, 1, 1))
    return graph.add("Add", graph.add("Mul", grey_levels, factor), offset)


def _resize(graph: Graph, images: str, side: int) -> str:
    """Pillow's bilinear filter, antialiased: uint8 [B, 3, S, S]."""
    batch = graph.add("Shape", images, start=0, end=1)
    sizes = graph.add("Concat", batch, graph.integers(3, side, side), axis=0)
    return graph.add(
        "Resize",
        graph.add("Transpose", images, perm=[0, 3, 1, 2]),
        "",
        "",
        sizes,
        mode="linear",
        antialias=1,
        exclude_outside=1,  # weights beyond the border are left out, as Pillow does
        coordinate_transformation_mode="half_pixel",
    )


def _landmarks(graph: Graph, images: str, side: int) -> tuple[str, str, str]:
    """:func:`fakd_jax.data.intensity.find_landmarks`: int32 [B, 1] each."""

    def constant(value: int | np.ndarray) -> str:
        return graph.constant(np.asarray(value, np.int32), np.int32)

    def integer(name: str) -> str:
        return graph.add("Cast", name, to=graph.onnx.TensorProto.INT32)

    def total(name: str) -> str:
        return graph.add("ReduceSum", name, graph.integers(1), keepdims=1)

    margin = round(intensity.FRAME * side)
    inner = graph.add(
        "Slice",
        integer(images),
        graph.integers(margin, margin),
        graph.integers(side - margin, side - margin),
        graph.integers(2, 3),
    )
    weighted = graph.add("Mul", inner, constant(np.array(intensity.LUMA).reshape(1, 3, 1, 1)))
    rounded = graph.add("Add", total(weighted), constant(0x8000))
    grey = graph.add("Div", rounded, constant(1 << 16))
    levels = graph.add("Flatten", grey)

    ones = graph.add("Expand", constant(1), graph.add("Shape", levels))
    batch = graph.add("Shape", levels, start=0, end=1)
    shape = graph.add("Concat", batch, graph.integers(_LEVELS), axis=0)
    histogram = graph.add(
        "ScatterElements",
        graph.add("Expand", constant(0), shape),
        levels,
        ones,
        axis=1,
        reduction="add",
    )
    up_to = graph.add("CumSum", histogram, graph.constant(np.int64(1), np.int64))
    pixels = (side - 2 * margin) ** 2
    each = np.arange(_LEVELS, dtype=np.float32)[None]
    counts = graph.add("Cast", histogram, to=graph.onnx.TensorProto.FLOAT)
    brightness = total(graph.add("Mul", counts, graph.constant(each)))
    mean = graph.add("Div", brightness, graph.constant(np.float32(pixels)))
    darker = integer(graph.add("LessOrEqual", graph.constant(each), mean))
    outside = total(graph.add("Mul", histogram, darker))
    head = graph.add("Sub", constant(pixels), outside)

    def level(rank: str) -> str:
        return total(integer(graph.add("Less", up_to, rank)))

    hundred = constant(100)
    first = graph.add("Div", graph.add("Add", head, constant(99)), hundred)
    last = graph.add("Div", head, hundred)
    return (
        level(constant((pixels + 99) // 100)),
        level(graph.add("Add", outside, first)),
        level(graph.add("Sub", constant(pixels), last)),
    )


def _to_fixed_levels(graph: Graph, grey_levels: str, air: str, low: str, high: str) -> str:
    """:func:`fakd_jax.data.intensity.to_fixed_levels`."""

    def constant(value: float) -> str:
        return graph.constant(np.float32(value))

    def per_image(name: str) -> str:
        as_float = graph.add("Cast", name, to=graph.onnx.TensorProto.FLOAT)
        return graph.add("Unsqueeze", as_float, graph.integers(2, 3))

    def slope(rise: float, start: str, end: str) -> str:
        run = graph.add("Max", graph.add("Sub", end, start), constant(1))
        return graph.add("Div", constant(rise), run)

    air, low, high = map(per_image, (air, low, high))
    below = slope(intensity.LOW_LEVEL, air, low)
    above = slope(intensity.HIGH_LEVEL - intensity.LOW_LEVEL, low, high)
    slopes = graph.add("Where", graph.add("Less", grey_levels, low), below, above)
    risen = graph.add("Mul", graph.add("Sub", grey_levels, low), slopes)
    mapped = graph.add("Add", risen, constant(intensity.LOW_LEVEL))
    clipped = graph.add("Clip", mapped, constant(0), constant(255))
    flat = graph.add("Less", graph.add("Sub", high, low), constant(intensity.MIN_CONTRAST))
    return graph.add("Where", flat, grey_levels, clipped)
