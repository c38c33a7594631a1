"""Terms that teach a network where to look, by outlined lesions.

They count images with an outlined lesion alone. In a batch without one they are 0 and have no
gradient.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.scipy.special import logsumexp, xlogy
from jaxtyping import Array, Bool, Float, Int

from fakd_jax.distillation.attention import averaged
from fakd_jax.distillation.rows import check_rows, kept_rows, mean_of_rows, wide

UNIFORM_SHARE = 1e-3
"""Of the attention that is spread evenly, so that no place has a probability of zero."""


def log_probabilities(logits: Float[Array, "B C"]) -> Float[Array, ""]:
    """The sum over all images and classes, whose gradient :func:`right_reasons_loss` compares."""
    return jnp.sum(jax.nn.log_softmax(wide(logits), axis=-1))


def lesion_attention_loss(
    features: Float[Array, "B h w c"],
    lesions: Float[Array, "B H W"],
    *,
    mask: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Divergence of the network's attention from the lesion.

    $$L = \frac{1}{|M|} \sum_{i \in M} \sum_p t_{ip} \log \frac{t_{ip}}{q_{ip}}, \quad
    q = (1 - \epsilon) \frac{Q}{\sum_p Q_p} + \frac{\epsilon}{h w}, \quad Q = \sum_c A_c^2$$

    M are the images with a lesion, t is the lesion's share of each position of the map, normalised
    to a sum of one, and ε is :data:`UNIFORM_SHARE`. Q is the activation-based attention map of
    Zagoruyko & Komodakis 2017, arXiv:1612.03928; the lesion takes the teacher's place.

    Args:
      features: `[B, h, w, c]`, any float dtype.
      lesions: `[B, H, W]`, in [0, 1], at least as large as the map; all 0 where none is outlined.
      mask: `[B]`, False for rows that do not count.

    Returns:
      A scalar in `[0, log(h w / ε)]`.

    Raises:
      ValueError: the numbers of rows differ.

    >>> lesions = jnp.zeros((1, 4, 4)).at[:, :2, :2].set(1)
    >>> features = jnp.zeros((1, 2, 2, 3)).at[:, 0, 0].set(2)
    >>> lesion_attention_loss(features, lesions).item() < 1e-3
    True
    """
    shares, counted = _shares(lesions, features, mask)
    attention = jnp.sum(jnp.square(wide(kept_rows(features, counted))), axis=-1)
    positions = attention.shape[1] * attention.shape[2]
    target = _normalised(shares, 0.0)
    q = (1 - UNIFORM_SHARE) * _normalised(attention, 1 / positions) + UNIFORM_SHARE / positions
    divergence = jnp.sum(xlogy(target, target) - target * jnp.log(q), axis=(1, 2))
    return mean_of_rows(divergence, counted)


def counterfactual_loss(
    logits: Float[Array, "B C"],
    labels: Int[Array, " B"],
    refuted: Bool[Array, " B"],
    *,
    mask: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Confidence in a class whose evidence was taken away: $-\log(1 - p_y)$.

    As a mean over the images that are refuted, 0 without one. The counterfactual term of Chang,
    Adam & Goldenberg 2021, arXiv:2106.01127.

    Args:
      logits: `[B, C]`, any float dtype, C at least 2.
      labels: the classes before the lesion was taken.
      refuted: whether it was.
      mask: `[B]`, False for rows that do not count.

    Raises:
      ValueError: the numbers of rows differ.

    >>> logits = jnp.log(jnp.array([[0.9, 0.1], [0.5, 0.5]]))
    >>> labels, refuted = jnp.zeros(2, int), jnp.array([True, False])
    >>> round(counterfactual_loss(logits, labels, refuted).item(), 4)
    2.3026
    """
    check_rows("labels", labels.shape, logits.shape[:1])
    check_rows("refuted", refuted.shape, logits.shape[:1])
    counted = refuted if mask is None else refuted & mask
    logits = wide(kept_rows(logits, counted))
    is_label = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
    others = logsumexp(jnp.where(is_label, -jnp.inf, logits), axis=-1)
    return mean_of_rows(logsumexp(logits, axis=-1) - others, counted)


def right_reasons_loss(
    evidence: Float[Array, "B h w c"],
    lesions: Float[Array, "B H W"],
    *,
    mask: Bool[Array, " B"] | None = None,
) -> Float[Array, ""]:
    r"""Squared evidence outside the lesion: the network is to be right for the right reasons.

    $$L = \frac{1}{|M|} \sum_{i \in M} \sum_p (1 - m_{ip})^2 \sum_c e_{ipc}^2$$

    M are the images with a lesion, m is the lesion's share of each position. With the gradient of
    :func:`log_probabilities` by the input as evidence e, it is the second term of eq. 1 of Ross,
    Hughes & Doshi-Velez 2017, arXiv:1703.03717, as a mean over M. :func:`evidence_of_map` is
    another evidence, cheaper and coarser.

    Args:
      evidence: `[B, h, w, c]`, any float dtype.
      lesions: as of :func:`lesion_attention_loss`.
      mask: `[B]`, False for rows that do not count.

    Returns:
      A scalar, at least 0.

    Raises:
      ValueError: the numbers of rows differ.

    >>> lesions = jnp.zeros((1, 2, 2)).at[:, 0].set(1)
    >>> right_reasons_loss(jnp.full((1, 2, 2, 3), 2.0), lesions).item()
    24.0
    """
    shares, counted = _shares(lesions, evidence, mask)
    outside = (1 - shares)[..., None] * wide(kept_rows(evidence, counted))
    return mean_of_rows(jnp.sum(jnp.square(outside), axis=(1, 2, 3)), counted)


def evidence_of_map(
    features: Float[Array, "B h w c"], gradient: Float[Array, "B h w c"]
) -> Float[Array, "B h w 1"]:
    r"""Evidence at each position of a feature map: $\sum_c A_c \, \partial / \partial A_c$.

    As in HiRes-CAM (Draelos & Carin 2020, arXiv:2011.08891). A loss of it need not be
    differentiated through the layers below the map; and unlike the gradient alone, a network
    cannot lower it by merely scaling its features up.

    Args:
      features: A, `[B, h, w, c]`.
      gradient: of a score, with respect to A.
    """
    return jnp.sum(wide(features) * wide(gradient), axis=-1, keepdims=True)


def _shares(
    lesions: Float[Array, "B H W"], features: Float[Array, "B h w c"], mask: Array | None
) -> tuple[Float[Array, "B h w"], Bool[Array, " B"]]:
    """The lesion's share of each position of a map, and which rows count: those with a lesion."""
    check_rows("lesions", lesions.shape[:1], features.shape[:1])
    lesions = wide(jax.lax.stop_gradient(lesions))
    shares = averaged(lesions[..., None], (features.shape[1], features.shape[2]))[..., 0]
    counted = jnp.any(lesions > 0, axis=(1, 2))
    return shares, counted if mask is None else counted & mask


def _normalised(values: Float[Array, "B h w"], otherwise: float) -> Float[Array, "B h w"]:
    """Divides by the sum of each row; rows of zeros become `otherwise`."""
    total = jnp.sum(values, axis=(1, 2), keepdims=True)
    return jnp.where(total > 0, values / jnp.where(total > 0, total, 1), otherwise)
