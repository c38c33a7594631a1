"""Serialized StableHLO: the compiled function of `jax.export`, beside its metadata in a zip.

JAX keeps such files readable for half a year at least, and other compilers read StableHLO.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
from jax import export

from fakd_jax.export.header import describe_network
from fakd_jax.export.onnx.network import FEATURES
from fakd_jax.export.request import Request
from fakd_jax.export.verification import verify_logits
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models.features import forward

SUFFIX = ".zip"
PROGRAM = "network.stablehlo"
METADATA = "metadata.json"
PLATFORMS = ("cpu", "cuda", "tpu")


def write(request: Request, path: Path) -> None:
    """Writes the program and, as JSON, what its use requires.

    The program takes uint8 [batch, S, S, 3] at the network's input size and returns `logits`,
    float32 [batch, C], and `features`, float32 [batch, D]. The batch may have any size.
    """
    predictor = request.predictor
    side = predictor.preprocessing.image_size
    (batch,) = export.symbolic_shape("batch", constraints=["batch >= 1"])
    images = jax.ShapeDtypeStruct((batch, side, side, 3), np.uint8)
    with _without_source_paths():
        program = export.export(jax.jit(program_of(predictor)), platforms=PLATFORMS)(images)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr(PROGRAM, bytes(program.serialize()))
        text = json.dumps(describe_network(predictor), indent=2, ensure_ascii=False)
        zipped.writestr(METADATA, text + "\n")


@contextmanager
def _without_source_paths() -> Iterator[None]:
    """Has programs name the lines that they come from without the folders of this machine."""
    option = "jax_hlo_source_file_canonicalization_regex"
    before = getattr(jax.config, option)
    jax.config.update(option, ".*/")
    try:
        yield
    finally:
        jax.config.update(option, before)


def verify(request: Request, path: Path) -> str:
    """Loads the program and compares its logits with the checkpoint's.

    Raises:
      UserError: they differ.
    """
    with zipfile.ZipFile(path) as zipped:
        program = export.deserialize(bytearray(zipped.read(PROGRAM)))
    call = jax.jit(program.call)
    return verify_logits(
        request.predictor,
        lambda images: np.asarray(call(images)["logits"]),
        request.images.test,
    )


def usage(request: Request, path: Path) -> str:
    """How JAX loads the file."""
    side = request.predictor.preprocessing.image_size
    return (
        f"in JAX: program = jax.export.deserialize(bytearray(zipfile.ZipFile({path.name!r})"
        f".read({PROGRAM!r}))); program.call(images)['logits']  # uint8 [N, {side}, {side}, 3]"
    )


def program_of(predictor: Predictor) -> Callable[[jax.Array], dict[str, jax.Array]]:
    """The function from images at the network's input size to logits and features."""
    network = predictor.folded.merge(predictor.folded.variables)

    def logits_and_features(images: jax.Array) -> dict[str, jax.Array]:
        inputs = predictor.preprocessing.inputs(images)
        logits, sown = forward(network, inputs, features=(FEATURES,))
        return {"logits": logits, "features": sown[FEATURES][:, 0, 0]}

    return logits_and_features
