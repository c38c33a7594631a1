"""Batch statistics re-estimated under fixed weights ("precise batch norm").

Running statistics follow the batches with a momentum: they lag behind the weights, and average
over a few batches of the recent past. Estimated afterwards, they are those of the final weights.
"""

from __future__ import annotations

import jax
from flax import nnx
from jaxtyping import Array, Float, Int

from fakd_jax.errors import UserError
from fakd_jax.models import forward
from fakd_jax.models.layers import BatchNorm


def batch_norms(network: nnx.Module) -> list[BatchNorm | nnx.BatchNorm]:
    """The layers with batch statistics, in an order that the structure alone determines.

    Raises:
      UserError: the network has none, or keeps statistics in layers of another kind.
    """
    layers = [
        layer
        for _, layer in nnx.iter_modules(network)
        if isinstance(layer, BatchNorm | nnx.BatchNorm)
    ]
    num_statistics = len(jax.tree.leaves(nnx.state(network, nnx.BatchStat)))
    if not layers or num_statistics != 2 * len(layers):
        raise UserError(
            f"recalibrate_batch_norm needs batch normalisation, and its statistics alone; a "
            f"{type(network).__name__} has {len(layers)} such layers and {num_statistics} "
            "statistics: set it to 0"
        )
    return layers


def include_batch(
    network: nnx.Module,
    estimate: nnx.Module,
    images: Float[Array, "B H W 3"],
    number: Int[Array, ""],
) -> None:
    r"""Includes the moments of one more batch in an estimate of the population's.

    Every layer normalises by the batch's own moments, as in training; dropout is off, as in
    evaluation. Over N batches of one size the estimate is (Wu & Johnson 2021, "Rethinking 'Batch'
    in BatchNorm", section 3)

    .. math:: \mu = E[\mu_i], \qquad \sigma^2 = E[\sigma_i^2 + \mu_i^2] - \mu^2,

    the exact moments of all N batches together. It is updated batch by batch, without the
    difference of large numbers; with :math:`\delta = \mu_k - \mu` of the k-th batch:

    .. math::
        \sigma^2 \leftarrow \tfrac{k-1}{k}(\sigma^2 + \tfrac{1}{k}\delta^2) + \tfrac{1}{k}\sigma_k^2

    Args:
      network: in evaluation mode; its layers' mode and statistics change.
      estimate: of the same structure; its statistics are the estimate so far, and change.
      images: normalised.
      number: of batches before this one; with 0, the estimate so far does not count.

    Raises:
      UserError: as of :func:`batch_norms`.
    """
    layers = batch_norms(network)
    for layer in layers:
        layer.use_running_average = False
        layer.momentum = 0.0  # the new statistics are the batch's moments
    forward(network, images)
    share = 1.0 / (number + 1)
    for layer, total in zip(layers, batch_norms(estimate), strict=True):
        mean, batch_mean = total.mean[...], layer.mean[...]
        distance = batch_mean - mean
        within = total.var[...] + share * distance * distance
        total.mean.set_value((1.0 - share) * mean + share * batch_mean)
        total.var.set_value((1.0 - share) * within + share * layer.var[...])
