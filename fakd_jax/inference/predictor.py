"""The one way from a checkpoint to probabilities: evaluation, explanation and others ask it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float32, Int32, Shaped, UInt8

from fakd_jax.data.preprocessing import Preprocessing, normalise, resize
from fakd_jax.errors import UserError
from fakd_jax.inference.masked import HiddenCopies, HidingNetwork
from fakd_jax.models.checkpoint import (
    build_model,
    load_metadata,
    model_state,
    resolve_checkpoint,
)
from fakd_jax.models.folding import fold_batch_norms
from fakd_jax.models.kernels.compilation import compiler_options
from fakd_jax.models.reinitialisation import reinitialise
from fakd_jax.runtime.async_dispatch import in_batches, wait_until_done
from fakd_jax.runtime.hashing import sha256_of_tree
from fakd_jax.runtime.precision import compute_dtype

HEADS_WITHOUT_TRAINING = ("untrained", "absent")


class Predictor:
    """A trained network with what it needs to be used rightly: images in, probabilities out.

    Images are prepared exactly as in training, by the settings stored in the checkpoint. Every
    batch is padded to `batch_size`, so that the network is compiled once; a row's result does
    not depend on the other rows.

    Attributes:
      arch: the network's registered name.
      class_names: of the outputs, in their order; '0', '1', … if the checkpoint names none.
      num_classes: their number.
      preprocessing: how images are prepared.
      metadata: all facts stored with the checkpoint.
      checkpoint: the checkpoint's own folder.
      batch_size: rows computed at once.
      dtype: of the computation, 'float32' or 'bfloat16'; logits are float32 always.
      network: the network itself, in evaluation mode; to be read only.

    Example:
      >>> predictor = Predictor.from_checkpoint("runs/fakd")  # doctest: +SKIP
      >>> predictor.predict_proba(images).argmax(axis=1)  # doctest: +SKIP
      array([3, 0, 2])
    """

    def __init__(
        self,
        model: nnx.Module,
        metadata: Mapping[str, Any],
        *,
        preprocessing: Preprocessing,
        checkpoint: Path,
        batch_size: int = 32,
        dtype: str = "float32",
    ) -> None:
        """Takes a network with its weights; users call :meth:`from_checkpoint`.

        Args:
          model: computes in `dtype`; is put into evaluation mode.
          metadata: as stored with a checkpoint.
          preprocessing: see the class.
          checkpoint: see the class.
          batch_size: see the class; at least 1.
          dtype: see the class.

        Raises:
          UserError: the batch size is below 1, or the names of the classes are not as many.
        """
        if batch_size < 1:
            raise UserError(f"the batch size must be at least 1, not {batch_size}")
        self.arch: str = metadata["arch"]
        self.num_classes: int = metadata["num_classes"]
        self.class_names = _class_names(metadata, self.num_classes)
        self.preprocessing = preprocessing
        self.metadata = dict(metadata)
        self.checkpoint = checkpoint
        self.batch_size = batch_size
        self.dtype = dtype
        model.eval()
        self.network = model
        graphdef, variables = nnx.split(fold_batch_norms(model))
        # A list goes into a compiled program several times faster than a State does.
        self._variables, structure = jax.tree.flatten(variables)

        def logits(variables: list[jax.Array], images: jax.Array) -> jax.Array:
            normalised = normalise(images, preprocessing.mean, preprocessing.std)
            state = jax.tree.unflatten(structure, variables)
            return nnx.merge(graphdef, state, copy=True)(normalised)

        def masked_logits(
            variables: list[jax.Array],
            image: jax.Array,
            replacement: jax.Array,
            opacity: jax.Array,
        ) -> jax.Array:
            own, other = image.astype(jnp.float32), replacement.astype(jnp.float32)
            blended = other + opacity[..., None] * (own - other)
            return logits(variables, jnp.rint(blended).astype(jnp.uint8))

        self._logits = jax.jit(logits, compiler_options=compiler_options())
        self._hiding = HidingNetwork(graphdef, structure, self._variables, preprocessing)
        self._masked_logits = jax.jit(masked_logits, compiler_options=compiler_options())

    @classmethod
    def from_checkpoint(
        cls,
        path: Path | str,
        *,
        batch_size: int = 32,
        dtype: str = "auto",
        allow_untrained: bool = False,
    ) -> Predictor:
        """Opens a checkpoint, on whatever device it was written.

        Args:
          path: a workdir (its best student), or any checkpoint in it.
          batch_size: rows computed at once; a single image costs as much as a full batch.
          dtype: 'float32', 'bfloat16', or 'auto': bfloat16 on a GPU or TPU, float32 on a CPU.
          allow_untrained: accept a network whose head was never trained, and which therefore
            guesses; where such a checkpoint lacks preprocessing, the paper's is taken.

        Returns:
          The predictor, its network on JAX's default device.

        Raises:
          UserError: no checkpoint there, a damaged one, an unknown network, an untrained head,
            or facts missing that a prediction needs.
        """
        checkpoint = resolve_checkpoint(path)
        metadata = load_metadata(checkpoint)
        head = metadata.get("head")
        if head in HEADS_WITHOUT_TRAINING and not allow_untrained:
            raise UserError(
                f"the head of {checkpoint} is {head}: its predictions would be guesses; "
                "train it first (python -m fakd_jax.train), or allow an untrained head explicitly"
            )
        preprocessing = _preprocessing(metadata, checkpoint, allow_untrained)
        computed_in = compute_dtype(dtype)
        model, metadata = build_model(checkpoint, dtype=computed_in)
        return cls(
            model,
            metadata,
            preprocessing=preprocessing,
            checkpoint=checkpoint,
            batch_size=batch_size,
            dtype=computed_in.name,
        )

    def predict_logits(
        self, images: Shaped[np.ndarray | Array, "N H W 3"]
    ) -> Float32[np.ndarray, "N C"]:
        """Computes the network's raw outputs.

        Args:
          images: `[N, H, W, 3]`, RGB, any height and width (resized as in training): uint8 in
            0..255, or float in [0, 1], which is rounded to 8 bits, what the network has seen.
            N may be 0.

        Returns:
          NumPy float32 `[N, num_classes]`.

        Raises:
          ValueError: another shape, dtype or range, or floats that are not finite.
        """
        prepared = self._prepare(as_uint8(np.asarray(images)))
        parts = [self.logits_of_batch(batch)[:kept] for batch, kept in self._batches(prepared)]
        return np.concatenate([np.zeros((0, self.num_classes), np.float32), *parts])

    def predict_proba(
        self, images: Shaped[np.ndarray | Array, "N H W 3"]
    ) -> Float32[np.ndarray, "N C"]:
        """Computes the probability of each class.

        Args:
          images: as of :meth:`predict_logits`.

        Returns:
          NumPy float32 `[N, num_classes]`, rows that sum to 1.

        Raises:
          ValueError: as of :meth:`predict_logits`.
        """
        return softmax(self.predict_logits(images))

    def prepare_hidden(
        self,
        image: UInt8[np.ndarray, "S S 3"],
        replacement: UInt8[np.ndarray, "S S 3"],
        segments: Int32[np.ndarray, "S S"],
        copies: int,
    ) -> Callable[[Bool[np.ndarray, "N K"]], Float32[np.ndarray, "N C"]]:
        """Makes ready for copies of one image in which segments are replaced.

        The copies are made on the device, batch by batch. What the network's first layers can give
        at all for any of them is computed here, once, where that is less work than computing it
        for every copy (see :mod:`fakd_jax.inference.masked`).

        Args:
          image: uint8, at the network's input size.
          replacement: what stands in the place of a hidden segment, likewise.
          segments: the segment of every pixel, from 0, K in all; -1 where nothing is replaced.
          copies: how many copies will be asked for in all, more or less.

        Returns:
          A function from which of the K segments each of N copies shows (at least one copy) to
          NumPy float32 `[N, num_classes]`, rows that sum to 1. It raises a ValueError for another
          number of segments.
        """
        hidden = HiddenCopies(
            self._hiding,
            self._variables,
            image,
            replacement,
            segments,
            copies=copies,
            batch_size=self.batch_size,
        )
        return lambda shown: softmax(hidden.logits(shown))

    def predict_masked(
        self,
        image: UInt8[np.ndarray, "S S 3"],
        replacement: UInt8[np.ndarray, "S S 3"],
        opacity: Float32[np.ndarray, "N S S"],
    ) -> Float32[np.ndarray, "N C"]:
        """Computes the probabilities of copies of one image whose pixels are partly replaced.

        The copies are blended on the device, batch by batch, and rounded to 8 bits as all images
        are.

        Args:
          image: uint8, at the network's input size.
          replacement: what the image is blended with, likewise.
          opacity: for each copy, how much of the image's own pixel is seen, in [0, 1].

        Returns:
          NumPy float32 `[N, num_classes]`, rows that sum to 1.
        """

        def ask(opacities: np.ndarray) -> jax.Array:
            return self._masked_logits(self._variables, image, replacement, opacities)

        batches = in_batches(ask, opacity, self.batch_size)
        return softmax(np.concatenate([np.asarray(batch) for batch in batches])[: len(opacity)])

    def logits_of_batch(self, batch: UInt8[np.ndarray, "B S S 3"]) -> Float32[np.ndarray, "B C"]:
        """Runs the network on prepared images as they are; each batch size compiles once.

        Args:
          batch: uint8, resized to the network's input already, as the data pipeline yields it.

        Returns:
          NumPy float32 `[B, num_classes]`.
        """
        logits = self._logits(self._variables, batch)
        if (
            len(batch) > 1
        ):  # a single image takes little memory, and no time to wait for its release
            wait_until_done(logits)
        return np.asarray(logits)

    def reinitialised(self, seed: int, images: UInt8[np.ndarray, "N S S 3"]) -> Predictor:
        """The same network with all its weights drawn anew; it shares the compiled programs.

        Args:
          seed: of the weights.
          images: see :func:`fakd_jax.models.reinitialisation.reinitialise`.
        """
        inputs = normalise(images, self.preprocessing.mean, self.preprocessing.std)
        other = copy.copy(self)
        other.network = reinitialise(self.metadata, seed, jnp.asarray(inputs), dtype=self.dtype)
        other._variables = jax.tree.leaves(nnx.state(fold_batch_norms(other.network)))
        return other

    def weights_digest(self) -> str:
        """The sha256 of all weights and statistics: which numbers made a report, beyond a path."""
        return sha256_of_tree(model_state(self.network))

    def _prepare(self, images: UInt8[np.ndarray, "N H W 3"]) -> UInt8[np.ndarray, "N S S 3"]:
        """Resizes as in training."""
        side = self.preprocessing.image_size
        if images.shape[1:3] == (side, side):
            return images
        resized = [resize(image, side) for image in images]
        return np.stack(resized) if resized else np.zeros((0, side, side, 3), np.uint8)

    def _batches(
        self, images: UInt8[np.ndarray, "N S S 3"]
    ) -> Iterator[tuple[UInt8[np.ndarray, "B S S 3"], int]]:
        """Yields batches of one size and how many of their rows are images; the rest is black."""
        for start in range(0, len(images), self.batch_size):
            part = images[start : start + self.batch_size]
            batch = np.zeros((self.batch_size, *images.shape[1:]), np.uint8)
            batch[: len(part)] = part
            yield batch, len(part)


def read_metadata(path: Path | str) -> dict[str, Any]:
    """The facts stored with the checkpoint that :meth:`Predictor.from_checkpoint` would open.

    Raises:
      UserError: no checkpoint there, or its facts cannot be read.
    """
    return load_metadata(resolve_checkpoint(path))


def softmax(logits: Float32[np.ndarray, "N C"]) -> Float32[np.ndarray, "N C"]:
    """Probabilities of the rows of logits, computed in float64 and safe for any finite value."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    exponentials = np.exp(shifted)
    return (exponentials / exponentials.sum(axis=-1, keepdims=True)).astype(np.float32)


def as_uint8(images: Shaped[np.ndarray, "N H W 3"]) -> UInt8[np.ndarray, "N H W 3"]:
    """Checks images and brings floats to the 8 bits that decoding gives."""
    if images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape[1:]:
        raise ValueError(f"images must have shape [N, H, W, 3], not {list(images.shape)}")
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"images must be uint8 in 0..255 or float in [0, 1], not {images.dtype}")
    # Written so that NaN is refused too.
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            f"float images must lie in [0, 1]; these reach from {images.min()} to {images.max()}"
        )
    return np.rint(images.astype(np.float32) * 255).astype(np.uint8)


def _class_names(metadata: Mapping[str, Any], num_classes: int) -> tuple[str, ...]:
    names = metadata.get("class_names") or [str(index) for index in range(num_classes)]
    if len(names) != num_classes:
        raise UserError(
            f"the checkpoint names {len(names)} classes and its network has {num_classes}: its "
            "metadata was changed or damaged; restore it"
        )
    return tuple(names)


def _preprocessing(
    metadata: Mapping[str, Any], checkpoint: Path, allow_untrained: bool
) -> Preprocessing:
    """The stored settings; the paper's only for a network that is known to guess anyway."""
    if stored := metadata.get("preprocessing"):
        return Preprocessing.from_dict(stored)
    if allow_untrained and metadata.get("head") in HEADS_WITHOUT_TRAINING:
        return Preprocessing()
    raise UserError(
        f"{checkpoint} does not say how its images were prepared (metadata.json lacks "
        "'preprocessing'); give a checkpoint that fakd_jax.train wrote"
    )
