"""This package's side: the steps and the predictor that the commands run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from benchmarks import data
from benchmarks.settings import (
    ALPHA,
    BETA,
    LEARNING_RATE,
    NUM_CLASSES,
    TEMPERATURE,
    WEIGHT_DECAY,
    Settings,
    batch_of,
)
from flax import nnx

from fakd_jax.cli.runner import use_compilation_cache
from fakd_jax.data.augment import Augmentation, augment_batch
from fakd_jax.data.pipeline import CachedImages, train_iterator
from fakd_jax.data.preprocessing import Preprocessing, normalise
from fakd_jax.data.sources import open_dataset
from fakd_jax.distillation.objective import Objective
from fakd_jax.distillation.projection import Projection
from fakd_jax.explanation.methods.lime import LimeExplainer
from fakd_jax.explanation.scene.builder import PAPER
from fakd_jax.inference.adapter import network_of
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models import create_model
from fakd_jax.runtime.async_dispatch import wait_until_done
from fakd_jax.runtime.precision import compute_dtype
from fakd_jax.training.optimizer import adamw
from fakd_jax.training.state import Learner, initial_state
from fakd_jax.training.step import Teacher, make_steps

ARCHITECTURES = {"teacher": "resnet50", "student": "mobilenet_v3_large"}
Prepared = tuple[Callable[[], object], Callable[[], dict[str, Any]], Callable[[], int | None]]


def prepare(measure: str, side: str, settings: Settings) -> Prepared:
    """Prepares a measure.

    Returns:
      The call to be timed, which waits for its result; what to report after the first call; and
      peak bytes on the accelerator (None on a CPU).
    """
    use_compilation_cache()
    dtype = compute_dtype("bfloat16" if side == "ours_bf16" else "auto")
    if measure.endswith("_step"):
        call, facts = _step(measure, settings, dtype)
    elif "_forward" in measure:
        call, facts = _forward(measure, settings, dtype)
    elif measure == "lime":
        call, facts = _lime(settings), dict
    else:
        call, facts = _input_pipeline(settings), dict
    return call, facts, _device_peak


def _device_peak() -> int | None:
    statistics = jax.devices()[0].memory_stats() or {}
    return statistics.get("peak_bytes_in_use")


def _network(role: str, settings: Settings, dtype: np.dtype) -> nnx.Module:
    return create_model(
        ARCHITECTURES[role],
        num_classes=NUM_CLASSES,
        dtype=dtype,
        rngs=nnx.Rngs(settings.seed),
    )


def _step(measure: str, settings: Settings, dtype: np.dtype) -> tuple[Callable, Callable]:
    """A whole step, with augmentation and normalisation on the device, unlike PyTorch's."""
    distils = measure == "fakd_step"
    network = _network("teacher" if measure == "teacher_step" else "student", settings, dtype)
    objective = Objective(ALPHA, BETA, TEMPERATURE) if distils else Objective()
    teacher = Teacher.freeze(_network("teacher", settings, dtype)) if distils else None
    projection = Projection(960, 1024, dtype=dtype, rngs=nnx.Rngs(1))
    learner = Learner(network, projection) if distils else Learner(network)
    optimizer = adamw(lambda step: jnp.float32(LEARNING_RATE), weight_decay=WEIGHT_DECAY)
    steps = make_steps(
        learner,
        teacher.graphdef if teacher else None,
        objective,
        optimizer,
        Preprocessing(image_size=settings.image_size),
        Augmentation(),
        steps_per_epoch=1 << 20,
    )
    images, labels = data.images_and_labels(settings.batch, settings)
    batch = {"image": images, "label": labels}
    variables = teacher.variables if teacher else None
    key = jax.random.key(settings.seed)
    state = initial_state(learner, optimizer)
    start = time.perf_counter()
    compiled = steps.train.lower(state, variables, batch, key).compile()
    facts = _cost(compiled) | {"compilation": time.perf_counter() - start}

    def call() -> None:
        nonlocal state
        state, loss = compiled(state, variables, batch, key)
        wait_until_done((state, loss))

    return call, lambda: facts


def _forward(measure: str, settings: Settings, dtype: np.dtype) -> tuple[Callable, Callable]:
    role, batch = measure.partition("_")[0], batch_of(measure, settings)
    predictor = _predictor(role, settings, batch, dtype)
    images, _ = data.images_and_labels(batch, settings)
    return lambda: predictor.logits_of_batch(images), dict


def _predictor(role: str, settings: Settings, batch: int, dtype: np.dtype) -> Predictor:
    return Predictor(
        _network(role, settings, dtype),
        {"arch": ARCHITECTURES[role], "num_classes": NUM_CLASSES},
        preprocessing=Preprocessing(image_size=settings.image_size),
        checkpoint=Path(),
        batch_size=batch,
        dtype=dtype.name,
    )


def _lime(settings: Settings) -> Callable:
    explainer = LimeExplainer(num_samples=settings.lime_samples)
    predictor = _predictor("student", settings, settings.batch, compute_dtype("auto"))
    network = network_of(predictor, None)
    image = data.head_phantom(settings)
    return lambda: explainer.explain(PAPER.scene(image, settings.seed), network, 0, settings.seed)


def _input_pipeline(settings: Settings) -> Callable:
    """One epoch of cached batches, augmented and normalised on the device."""
    folder = tempfile.TemporaryDirectory()  # kept alive by `call`
    source = data.write_image_folder(Path(folder.name) / "images", settings)
    dataset = open_dataset(str(source), cache_dir=Path(folder.name), log=lambda line: None)
    ids = [example.id for example in dataset.examples if example.split == "train"]
    batches: Iterator[dict[str, np.ndarray]] = train_iterator(
        CachedImages(dataset, settings.image_size),
        ids,
        batch_size=settings.batch,
        image_size=settings.image_size,
        seed=settings.seed,
    )
    preprocessing, key = Preprocessing(), jax.random.key(settings.seed)

    @jax.jit
    def on_device(images: jax.Array) -> jax.Array:
        augmented = augment_batch(key, images, Augmentation())
        return jnp.asarray(normalise(augmented, preprocessing.mean, preprocessing.std))

    def call(folder: object = folder) -> None:
        for _ in range(len(ids) // settings.batch):
            on_device(next(batches)["image"]).block_until_ready()

    return call


def _cost(compiled: Any) -> dict[str, Any]:
    """FLOPs and bytes accessed as XLA counts them."""
    cost = compiled.cost_analysis() or {}
    return {"flops": cost.get("flops"), "bytes": cost.get("bytes accessed")}
