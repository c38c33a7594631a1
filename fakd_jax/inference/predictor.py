"""From a checkpoint to probabilities."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float32, Shaped, UInt8

from fakd_jax.data.preprocessing import Preprocessing, resize
from fakd_jax.errors import UserError
from fakd_jax.inference.batching import compute_in_batches
from fakd_jax.models.checkpoint import build_model, load_metadata, resolve_checkpoint
from fakd_jax.models.class_order import reorder_classes
from fakd_jax.models.features import forward_last_layer
from fakd_jax.models.folding import FoldedNetwork
from fakd_jax.models.kernels.compilation import compiler_options
from fakd_jax.models.registry import create_as_stored
from fakd_jax.models.state import model_state, set_model_state
from fakd_jax.runtime.async_dispatch import wait_until_done
from fakd_jax.runtime.precision import compute_dtype

HEADS_WITHOUT_TRAINING = ("untrained", "absent")


class Predictor:
    """A trained network with what its correct use requires: images in, probabilities out.

    Images are preprocessed as in training, by the settings stored in the checkpoint. Every batch
    is padded to `batch_size`, so that the network compiles once; a row's result does not depend
    on the other rows.

    Attributes:
      arch: the network's registered name.
      class_names: of the outputs, in order; '0', '1', … if the checkpoint names none.
      num_classes: their number.
      preprocessing: how images become the network's input.
      metadata: everything stored with the checkpoint.
      checkpoint: the checkpoint's own folder.
      batch_size: rows computed at once.
      dtype: of the computation, 'float32' or 'bfloat16'; logits are always float32.
      network: the network, in evaluation mode; not to be changed.
      folded: the same with its batch norms folded if it computes in float32; it predicts.

    Examples:
      >>> predictor = Predictor.from_checkpoint("runs/fakd-phantom")
      >>> predictor.predict_proba(images).shape  # of three uint8 images [3, H, W, 3]
      (3, 4)
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
        """Wraps a network that computes in `dtype`; users call :meth:`from_checkpoint`.

        Raises:
          UserError: the batch size is below 1, or the number of class names is wrong.
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
        self.folded = folded = FoldedNetwork.of(model)

        def outputs(
            variables: list[jax.Array], images: jax.Array
        ) -> tuple[jax.Array | None, jax.Array]:
            inputs = preprocessing.inputs(images)
            return forward_last_layer(folded.merge(variables), inputs, self.num_classes)

        self._outputs = jax.jit(outputs, compiler_options=compiler_options())

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
          allow_untrained: accept a network whose head was never trained and which therefore
            guesses; if its checkpoint lacks preprocessing, the paper's is used.

        Raises:
          UserError: no checkpoint there, a damaged one, an unknown network, an untrained head,
            or metadata missing that a prediction needs.
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
            0..255, or float in [0, 1], which is rounded to 8 bits as in training. N may be 0.

        Raises:
          ValueError: another shape, dtype or range, or floats that are not finite.
        """
        resized = self._resize(as_uint8(np.asarray(images)))
        return compute_in_batches(
            lambda batch: self._outputs(self.folded.variables, batch)[1], resized, self.batch_size
        )

    def predict_proba(
        self, images: Shaped[np.ndarray | Array, "N H W 3"]
    ) -> Float32[np.ndarray, "N C"]:
        """Computes the probability of each class, rows that sum to 1.

        Arguments and errors are those of :meth:`predict_logits`.
        """
        return softmax(self.predict_logits(images))

    def logits_of_batch(self, batch: UInt8[np.ndarray, "B S S 3"]) -> Float32[np.ndarray, "B C"]:
        """Raw outputs for images of the network's input size; each batch size compiles once."""
        return np.asarray(self._outputs_of_batch(batch)[1])

    def features_and_logits(
        self, batch: UInt8[np.ndarray, "B S S 3"]
    ) -> tuple[Float32[np.ndarray, "B D"], Float32[np.ndarray, "B C"]]:
        """What the last linear layer reads, and :meth:`logits_of_batch`, by the same program.

        Raises:
          UserError: the network has no single linear layer that computes its logits.
        """
        features, logits = self._outputs_of_batch(batch)
        if features is None:
            raise UserError(
                f"the features of {self.arch} are unknown: it has no single linear layer "
                f"(fakd_jax.models.layers.Linear) with {self.num_classes} outputs"
            )
        return np.asarray(features), np.asarray(logits)

    def with_network(self, model: nnx.Module) -> Predictor:
        """The same predictor with another network of its architecture, in evaluation mode.

        It shares the compiled programs.
        """
        other = copy.copy(self)
        other.network, other.folded = model, FoldedNetwork.of(model)
        return other

    def with_class_order(self, class_names: Sequence[str]) -> Predictor:
        """The same network with its outputs in the order of `class_names`, which are its own."""
        if tuple(class_names) == self.class_names:
            return self
        model = nnx.clone(self.network)
        reorder_classes(model, self.class_names, class_names)
        other = self.with_network(model)
        other.class_names = tuple(class_names)
        return other

    def in_float32(self) -> Predictor:
        """The same weights computing in float32, where small differences of outputs matter."""
        if self.dtype == "float32":
            return self
        model = create_as_stored(self.metadata, dtype=jnp.float32, rngs=nnx.Rngs(0))
        set_model_state(model, model_state(self.network))
        return Predictor(
            model,
            {**self.metadata, "class_names": list(self.class_names)},
            preprocessing=self.preprocessing,
            checkpoint=self.checkpoint,
            batch_size=self.batch_size,
        )

    def _outputs_of_batch(
        self, batch: UInt8[np.ndarray, "B S S 3"]
    ) -> tuple[jax.Array | None, jax.Array]:
        outputs = self._outputs(self.folded.variables, batch)
        if len(batch) > 1:  # a single image takes too little memory to wait for its release
            wait_until_done(outputs)
        return outputs

    def _resize(self, images: UInt8[np.ndarray, "N H W 3"]) -> UInt8[np.ndarray, "N S S 3"]:
        """Resizes as in training."""
        side = self.preprocessing.image_size
        if images.shape[1:3] == (side, side):
            return images
        resized = [resize(image, side) for image in images]
        return np.stack(resized) if resized else np.zeros((0, side, side, 3), np.uint8)


def softmax(logits: Float32[np.ndarray, "N C"]) -> Float32[np.ndarray, "N C"]:
    """Probabilities of rows of logits, computed in float64."""
    from scipy.special import softmax

    return softmax(logits.astype(np.float64), axis=-1).astype(np.float32)


def as_uint8(images: Shaped[np.ndarray, "N H W 3"]) -> UInt8[np.ndarray, "N H W 3"]:
    """Checks images and rounds floats to 8 bits, as decoding does."""
    if images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape[1:]:
        raise ValueError(f"images must have shape [N, H, W, 3], not {list(images.shape)}")
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"images must be uint8 in 0..255 or float in [0, 1], not {images.dtype}")
    # NaN fails this too.
    if images.size and not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            f"float images must lie in [0, 1]; these range from {images.min()} to {images.max()}"
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
    """The stored settings; the paper's for a network that is known to guess anyway."""
    if stored := metadata.get("preprocessing"):
        return Preprocessing.from_dict(stored)
    if allow_untrained and metadata.get("head") in HEADS_WITHOUT_TRAINING:
        return Preprocessing()
    raise UserError(
        f"{checkpoint} lacks 'preprocessing' in metadata.json, without which images cannot be "
        "prepared; give a checkpoint that fakd_jax.train wrote, or convert the weights again with "
        "--class-names, --image-size, --mean and --std (fakd convert)"
    )
