"""The machine and its peak rates."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata, util
from typing import Any

LIBRARIES = {
    "torch": ("torch", "torchvision"),
    "torch_tuned": ("torch", "torchvision"),
    "torch_bf16": ("torch", "torchvision"),
    "torch_compile": ("torch", "torchvision"),
    "onnx": ("torch", "torchvision", "onnxruntime", "onnx", "onnxscript"),
}
# In its own process, so that its memory and compilation do not affect later measurements.
_RATES = """
import json, time
import jax, jax.numpy as jnp

def best(run, *arguments):
    run(*arguments).block_until_ready()
    seconds = []
    for _ in range(7):
        start = time.perf_counter()
        run(*arguments).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return min(seconds)

on_gpu = jax.default_backend() == "gpu"
n, words = (8192, 1 << 28) if on_gpu else (2048, 1 << 26)
rates = {}
for dtype in ("float32", "bfloat16"):
    square = jnp.ones((n, n), dtype)
    rates[f"matmul_{dtype}"] = 2 * n**3 / best(jax.jit(jnp.dot), square, square)
line = jnp.ones(words, jnp.float32)
rates["bandwidth"] = 2 * 4 * words / best(jax.jit(lambda x: x + 1), line)
print(json.dumps(rates))
"""


def missing_libraries(sides: list[str]) -> list[str]:
    """Libraries that these sides need and that are not installed."""
    wanted = {library for side in sides for library in LIBRARIES.get(side, ())}
    return sorted(library for library in wanted if util.find_spec(library) is None)


def measure_rates() -> dict[str, float]:
    """FLOP/s of a large matrix product by dtype, and bytes/s read and written by a long sum."""
    done = subprocess.run(
        [sys.executable, "-c", _RATES], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def describe() -> dict[str, Any]:
    """The device, the processors and the versions."""
    from fakd_jax.runtime.environment import describe_environment

    names = ("jax", "flax", "torch", "torchvision", "onnxruntime", "lime")
    versions = {}
    for name in names:
        if util.find_spec(name) is not None:
            versions[name] = metadata.version(name)
    return describe_environment() | {"versions": versions, "load": os.getloadavg()[0]}
