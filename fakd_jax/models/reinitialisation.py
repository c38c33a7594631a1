"""Re-initialises a network at random so that it still responds to images.

The control of Adebayo et al., "Sanity checks for saliency maps" (arXiv:1810.03292): an
explanation that looks the same for such a network was never about what the network had learned.

Initial weights alone do not make a network that could be explained. With batch statistics of 0
and 1 the signal dies on its way through a MobileNetV3 (its logits for MRI differ by 1e-11), and
with a trained network's statistics it explodes (1e20). With the statistics of a batch of images
the signal survives, but the logits still differ by only 1e-2, and one outlier can outweigh all
other images. So each logit is also shifted and scaled to the median and the median absolute
deviation of a standard normal: the data-dependent initialisation of Salimans and Kingma
(arXiv:1602.07868), of the last layer only and made robust. Replacing half of an MRI then changes
the probability of its class by at least 0.1; for a trained network, by 0.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float32

from fakd_jax.errors import UserError
from fakd_jax.models.layers import BatchNorm, Linear
from fakd_jax.models.registry import create_as_stored

_NORMAL = 1.4826
"""The standard deviation of a normal distribution whose median absolute deviation is 1."""


def reinitialise(
    metadata: Mapping[str, Any],
    seed: int,
    images: Float32[Array | np.ndarray, "N H W 3"],
    *,
    dtype: DTypeLike = jnp.float32,
) -> nnx.Module:
    """Creates a network with random weights that responds to images such as those given.

    Args:
      metadata: Of a checkpoint: which network.
      seed: Of the weights.
      images: Normalised images that differ, a dozen or more. They determine the statistics of the
        batch norms, and the scale and the bias of the last layer.
      dtype: Of the computation.

    Returns:
      The network, in evaluation mode.

    Raises:
      UserError: The network gives most of the images the same logit, as where there is only one.
      ValueError: Its last layer cannot be found.
    """
    model = create_as_stored(metadata, dtype=dtype, rngs=nnx.Rngs(seed))
    logits = np.asarray(follow_batch(model, images), np.float64)
    median = np.median(logits, axis=0)
    deviation = _NORMAL * np.median(np.abs(logits - median), axis=0)
    if not deviation.all():
        raise UserError(
            f"{len(images)} images are too few or too alike to make a re-initialised network "
            "respond to them: give more images, or no such networks (--reinitialisations 0)"
        )
    layer = last_layer(model, num_classes=logits.shape[1])
    for variable, value in (
        (layer.kernel, np.asarray(layer.kernel[...]) / deviation),
        (layer.bias, (np.asarray(layer.bias[...]) - median) / deviation),
    ):
        variable.set_value(jnp.asarray(value, jnp.float32))
    return model


def follow_batch(
    model: nnx.Module, images: Float32[Array | np.ndarray, "N H W 3"]
) -> Float32[Array, "N K"]:
    """Sets the statistics of all batch norms to those of one batch of normalised images.

    The model is changed in place and left in evaluation mode. Returns its logits with these
    statistics, which are those of evaluation and of training.
    """
    norms = [module for _, module in nnx.iter_graph(model) if isinstance(module, BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    model.set_attributes(deterministic=True, raise_if_not_found=False)  # no dropout
    model.set_attributes(use_running_average=False, momentum=0.0, raise_if_not_found=False)
    logits = _run(model, jnp.asarray(images))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
    return logits


def last_layer(model: nnx.Module, num_classes: int) -> Linear:
    """The linear layer with as many outputs as there are classes.

    Raises:
      ValueError: There is none, or more than one.
    """
    layers = [module for _, module in nnx.iter_graph(model) if isinstance(module, Linear)]
    fitting = [layer for layer in layers if layer.bias.shape == (num_classes,)]
    if len(fitting) != 1:
        raise ValueError(f"{len(fitting)} linear layers have {num_classes} outputs, 1 is needed")
    return fitting[0]


@nnx.jit
def _run(model: Any, images: Array) -> Array:
    return model(images)
