"""LiteRT (formerly TensorFlow Lite): a `.tflite` file for phones and small boards.

JAX lowers the network to StableHLO, which Google's converter takes. The file has the metadata in a
zip at its end, as TensorFlow Lite's own files with metadata have.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from inspect import unwrap
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export, lax
from jaxtyping import Float32, Int32, UInt8

from fakd_jax.data.intensity import level_histogram
from fakd_jax.errors import UserError
from fakd_jax.export.header import describe_network
from fakd_jax.export.request import Request
from fakd_jax.export.stablehlo import METADATA, program_of
from fakd_jax.export.verification import verify_logits
from fakd_jax.runtime.extras import import_extra

SUFFIX = ".tflite"
SIGNATURE = "serving_default"
OUTPUTS = ("logits", "features")
_PLATFORM = "tpu"
"""Whose lowering is converted: the CPU's is written around its compiler's slow convolutions."""
_CONVERTER, _RUNTIME = "litert_converter.mlir", "ai_edge_litert.interpreter"


def write(request: Request, path: Path) -> None:
    """Writes the network with its normalisation and intensity rule, for one image at a time.

    It takes uint8 [1, S, S, 3] at the network's input size and returns `logits`, float32 [1, C],
    and `features`, float32 [1, D].

    Raises:
      UserError: a library is missing, or the converter has no translation for the network.
    """
    purpose = "exporting to LiteRT"
    import_extra(_RUNTIME, "litert", purpose)
    ir = import_extra(f"{_CONVERTER}.ir", "litert", purpose)
    passes = import_extra(f"{_CONVERTER}.passmanager", "litert", purpose)
    converter = import_extra(f"{_CONVERTER}._mlir_libs.converter_api_ext", "litert", purpose)

    context = ir.Context()
    converter.prepare_mlir_context(context)
    with context:
        module = ir.Module.parse(_stablehlo(request))
        converter.set_signature(
            module.operation,
            signature_name=SIGNATURE,
            input_names=["images"],
            output_names=list(OUTPUTS),
        )
        config = converter.ConvertToTFLConfig()
        config.model_origin_framework = "JAX"
        try:
            converter.run_convert_to_tfl_passes(module, passes.PassManager(), config)
            content = converter.export_flatbuffer_to_bytes(module.operation)
        except ValueError as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"the network cannot be converted to LiteRT ({reason}); export onnx or stablehlo"
            ) from error
    path.write_bytes(content)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as appended:
        text = json.dumps(describe_network(request.predictor), indent=2, ensure_ascii=False)
        appended.writestr(METADATA, text + "\n")


def verify(request: Request, path: Path) -> str:
    """Runs the file with LiteRT and compares its logits with the checkpoint's.

    Raises:
      UserError: they differ, or LiteRT cannot run the file.
    """
    interpreter = import_extra(_RUNTIME, "litert", "verifying an export to LiteRT")
    try:
        run = interpreter.Interpreter(str(path)).get_signature_runner(SIGNATURE)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"LiteRT cannot run the export ({reason}); export onnx") from error

    def logits(images: UInt8[np.ndarray, "B S S 3"]) -> Float32[np.ndarray, "B C"]:
        return np.concatenate([run(images=image[None])["logits"] for image in images])

    return verify_logits(request.predictor, logits, request.images.test)


def usage(request: Request, path: Path) -> str:
    """How LiteRT runs the file."""
    side = request.predictor.preprocessing.image_size
    return (
        f"with LiteRT: run = Interpreter({path.name!r}).get_signature_runner(); "
        f"run(images=image)['logits']  # uint8 [1, {side}, {side}, 3]"
    )


def _stablehlo(request: Request) -> str:
    """The network as StableHLO, of operations that the converter has translations for."""
    program, side = program_of(request.predictor), request.predictor.preprocessing.image_size
    image = jax.ShapeDtypeStruct((1, side, side, 3), np.uint8)

    def outputs(images: jax.Array) -> tuple[jax.Array, ...]:
        computed = program(images)
        return tuple(computed[name] for name in OUTPUTS)

    traced = jax.make_jaxpr(outputs)(image)

    def rewritten(images: jax.Array) -> list[Any]:
        return _run(traced.jaxpr, traced.consts, [images])

    return str(export.export(jax.jit(rewritten), platforms=[_PLATFORM])(image).mlir_module())


def _run(jaxpr: Any, constants: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
    """Computes a jaxpr as it is, but for what the converter translates badly or not at all."""
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*constants, *inputs), strict=True))

    def read(atom: Any) -> Any:
        return atom.val if hasattr(atom, "val") else known[atom]

    for equation in jaxpr.eqns:
        results = _equation(equation, [read(atom) for atom in equation.invars])
        known.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _equation(equation: Any, operands: list[Any]) -> list[Any]:
    kind, parameters = equation.primitive.name, equation.params
    if kind == "platform_index":
        return [parameters["platforms"].index(None)]  # the branch of no platform in particular
    if kind == "cond" and isinstance(operands[0], int):
        branch = parameters["branches"][operands[0]]
        return _run(branch.jaxpr, branch.consts, operands[1:])
    inner = parameters.get("jaxpr") or parameters.get("call_jaxpr")
    if inner is not None:
        if inner.jaxpr.debug_info.func_name == unwrap(level_histogram).__name__:
            return [_histogram_by_products(*operands)]
        return _run(inner.jaxpr, inner.consts, operands)
    if kind == "dot_general" and operands[0].ndim == 4:
        return [_pointwise_as_convolution(*operands)]
    results = equation.primitive.bind(*operands, **parameters)
    return list(results) if equation.primitive.multiple_results else [results]


def _pointwise_as_convolution(
    maps: Float32[jax.Array, "B H W I"], kernel: Float32[jax.Array, "I O"]
) -> Float32[jax.Array, "B H W O"]:
    """A 1×1 convolution: LiteRT's products of matrices have no such shapes."""
    order = ("NHWC", "HWIO", "NHWC")
    kernel = jnp.asarray(kernel)[None, None]
    return lax.conv_general_dilated(maps, kernel, (1, 1), "VALID", dimension_numbers=order)


def _histogram_by_products(
    levels: Int32[jax.Array, "B N"],
) -> Int32[jax.Array, "B 256"]:
    """How many pixels have each of 256 levels, without the scatter that LiteRT lacks.

    The product of the indicators of a level's upper and lower four bits is that of the level, and
    float32 counts up to 16,777,216 pixels exactly.
    """
    digits = jnp.arange(16)
    upper, lower = levels // 16, levels % 16
    upper, lower = ((part[..., None] == digits).astype(jnp.float32) for part in (upper, lower))
    counts = jnp.matmul(upper.swapaxes(1, 2), lower)
    return counts.reshape(levels.shape[0], 256).astype(jnp.int32)
