"""A network that only ever sees one batch shape, and is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from fakd_jax.inference.network import Network, PredictFunction


def in_fixed_batches(
    predict_proba: PredictFunction,
    batch_size: int,
    on_images: Callable[[int], None] | None = None,
) -> PredictFunction:
    """Wraps `predict_proba` so that each of its calls gets exactly `batch_size` rows.

    A row is an image, or what stands for one (see
    :data:`fakd_jax.inference.network.PrepareHiddenFunction`).

    A ragged last batch would make a jitted network compile again; here it is filled up with
    copies of its first row, whose probabilities are dropped.

    Args:
      predict_proba: rows ``[batch_size, ...]`` to probabilities ``[batch_size, C]``.
      batch_size: at least 1.
      on_images: called after each batch with the number of true rows in it (for progress).

    Returns:
      A function of any number (at least one) of rows of one shape.

    Raises:
      ValueError: from the returned function, when `predict_proba` answers with something
        other than one finite row an image.
    """

    def predict(rows: np.ndarray) -> np.ndarray:
        answers = []
        for start in range(0, len(rows), batch_size):
            chunk = rows[start : start + batch_size]
            filling = np.repeat(chunk[:1], batch_size - len(chunk), axis=0)
            probabilities = np.asarray(predict_proba(np.concatenate([chunk, filling])))
            if probabilities.ndim != 2 or len(probabilities) != batch_size:
                raise ValueError(
                    f"predict_proba gave shape {probabilities.shape} for {batch_size} rows; "
                    f"({batch_size}, classes) is meant"
                )
            if not np.isfinite(probabilities).all():
                raise ValueError("predict_proba gave a probability that is not finite")
            answers.append(probabilities[: len(chunk)])
            if on_images is not None:
                on_images(len(chunk))
        return np.concatenate(answers)

    return predict


def network_in_fixed_batches(
    network: Network, on_images: Callable[[int], None] | None = None
) -> Network:
    """The network, asked for probabilities in batches of its own size only, and counted.

    Args:
      network: whoever is to be asked; its gradients are left as they are.
      on_images: see :func:`in_fixed_batches`.
    """

    def prepare_hidden(
        image: np.ndarray, replacement: np.ndarray, segments: np.ndarray, copies: int
    ) -> PredictFunction:
        ask = network.prepare_hidden(image, replacement, segments, copies)
        return in_fixed_batches(ask, network.batch_size, on_images)

    def predict_masked(
        image: np.ndarray, replacement: np.ndarray, opacity: np.ndarray
    ) -> np.ndarray:
        ask = partial(network.predict_masked, image, replacement)
        return in_fixed_batches(ask, network.batch_size, on_images)(opacity)

    return replace(
        network,
        predict_proba=in_fixed_batches(network.predict_proba, network.batch_size, on_images),
        prepare_hidden=prepare_hidden,
        predict_masked=predict_masked,
    )
