"""A checkpoint's network with its preprocessing as one ONNX model."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jaxtyping import UInt8

from fakd_jax.export.header import as_texts, describe_network
from fakd_jax.export.onnx.graph import IR_VERSION, Graph
from fakd_jax.export.onnx.lowering import CHANNELS_SECOND, lower
from fakd_jax.export.onnx.precision import to_float16, to_int8
from fakd_jax.export.onnx.preprocessing import add_preprocessing
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models.features import forward
from fakd_jax.runtime.extras import import_extra

FEATURES = "pre_logits"
"""Every network's name for the input of its last layer."""


def build_model(
    predictor: Predictor, precision: str, calibration: UInt8[np.ndarray, "N S S 3"] | None
) -> Any:
    """Builds the model.

    Its input `images` is uint8 [batch, height, width, 3]; its outputs are `logits`, float32
    [batch, C], and `features`, float32 [batch, D], the input of the last layer. The network alone
    is brought to fewer bits: preprocessing in fewer would change the images.

    Args:
      predictor: computes in float32.
      precision: "float32", "float16" or "int8".
      calibration: training images, needed for int8.

    Returns:
      An `onnx.ModelProto`, with what :func:`fakd_jax.export.header.describe_network` returns and
      `precision` in its metadata.

    Raises:
      UserError: the network has an operation that has no translation.
    """
    onnx = import_extra("onnx", "onnx", "exporting to ONNX")
    network = network_model(predictor)
    if precision == "float16":
        network = to_float16(network)
    elif precision == "int8":
        assert calibration is not None
        inputs = predictor.preprocessing.inputs(calibration)
        network = to_int8(network, np.asarray(inputs).transpose(CHANNELS_SECOND))
    network.ir_version = IR_VERSION
    preprocessing = preprocessing_model(predictor)
    model = onnx.compose.merge_models(preprocessing, network, io_map=[("prepared", "inputs")])
    facts = {**describe_network(predictor), "precision": precision}
    onnx.helper.set_model_props(model, as_texts(facts))
    model.producer_name = "fakd_jax"
    return model


def preprocessing_model(predictor: Predictor) -> Any:
    """From `images` to `prepared`, the network's input: float32 [batch, 3, S, S]."""
    graph, side = Graph("preprocessing_"), predictor.preprocessing.image_size
    prepared = add_preprocessing(graph, "images", predictor.preprocessing)
    return graph.model(
        {"images": ("UINT8", ("batch", "height", "width", 3))},
        {"prepared": (prepared, "FLOAT", ("batch", 3, side, side))},
    )


def network_model(predictor: Predictor) -> Any:
    """From `inputs`, float32 [batch, 3, S, S], to `logits` and `features`.

    Raises:
      UserError: the network has an operation that has no translation.
    """
    network = predictor.folded.merge(predictor.folded.variables)

    def logits_and_features(images: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits, sown = forward(network, images, features=(FEATURES,))
        return logits, sown[FEATURES][:, 0, 0]

    side = predictor.preprocessing.image_size
    image = jax.ShapeDtypeStruct((1, side, side, 3), np.float32)
    shapes = jax.eval_shape(logits_and_features, image)
    graph = Graph("network_")
    logits, features = lower(logits_and_features, "inputs", (side, side, 3), graph)
    return graph.model(
        {"inputs": ("FLOAT", ("batch", 3, side, side))},
        {
            "logits": (logits, "FLOAT", ("batch", shapes[0].shape[1])),
            "features": (features, "FLOAT", ("batch", shapes[1].shape[1])),
        },
    )
