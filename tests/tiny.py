"""Tiny networks, data and configs: the real classes and commands, small enough for tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from fakd_jax.experiment.settings import ExperimentConfig, parse

if TYPE_CHECKING:
    from fakd_jax import Predictor

CLASS_NAMES = ("glioma", "meningioma", "notumor", "pituitary")
COLOURS = ((200, 60, 60), (60, 200, 60), (60, 60, 200), (180, 180, 60))
IMAGE_SIZE = 32


def register_tiny_models() -> None:
    """Registers one tiny network of each kind (`tiny_mobilenet`'s last map is `features.4`)."""
    from fakd_jax.models import convnext, efficientnet, mobilenet_v3, register, resnet
    from fakd_jax.models.registry import available_models

    def tiny_resnet(**kwargs: object) -> resnet.ResNet:
        return resnet.ResNet(stage_sizes=(1, 1, 1, 1), width=8, **kwargs)

    def tiny_mobilenet(**kwargs: object) -> mobilenet_v3.MobileNetV3:
        return mobilenet_v3.MobileNetV3(
            settings=[mobilenet_v3.MOBILENET_V3_LARGE_SETTINGS[index] for index in (0, 1, 3)],
            last_channel=32,
            **kwargs,
        )

    def tiny_basic_resnet(**kwargs: object) -> resnet.ResNet:
        basic = {"block": resnet.BasicBlock, "stage_sizes": (1, 2, 1), "width": 8}
        return resnet.ResNet(**basic, **kwargs)

    def tiny_efficientnet(**kwargs: object) -> efficientnet.EfficientNet:
        stage = efficientnet.StageSetting
        settings = (stage(1, 3, 1, 8, 8, 2), stage(4, 5, 2, 8, 16, 1))
        return efficientnet.EfficientNet(settings=settings, **kwargs)

    def tiny_convnext(**kwargs: object) -> convnext.ConvNeXt:
        return convnext.ConvNeXt(stage_sizes=(1, 2), widths=(8, 16), **kwargs)

    kinds = (tiny_resnet, tiny_mobilenet, tiny_basic_resnet, tiny_efficientnet, tiny_convnext)
    for factory in kinds:
        if factory.__name__ not in available_models():
            register(factory.__name__)(factory)


def save_tiny_checkpoint(
    folder: Path, class_names: Sequence[str] = CLASS_NAMES, *, head_scale: float = 1e4
) -> Path:
    """Writes a student's checkpoint in the workdir `folder`, with random weights.

    The head's weights are scaled up so that images differ in their probabilities.
    """
    from flax import nnx

    from fakd_jax.data.preprocessing import Preprocessing
    from fakd_jax.models import create_model
    from fakd_jax.models.checkpoint import save_model
    from fakd_jax.models.state import model_state

    model = create_model("tiny_mobilenet", num_classes=len(class_names), rngs=nnx.Rngs(0))
    state = model_state(model)
    kernel = state["params"]["classifier_3"]["kernel"]
    state["params"]["classifier_3"]["kernel"] = np.asarray(kernel) * head_scale
    metadata = {
        "arch": "tiny_mobilenet",
        "num_classes": len(class_names),
        "class_names": list(class_names),
        "overrides": {},
        "preprocessing": Preprocessing(image_size=IMAGE_SIZE).to_dict(),
        "negative_class": "notumor",
        "head": "trained",
        "source": {"step": 7},
        "data": None,
        "config": None,
        "package_version": "0",
    }
    save_model(folder / "student" / "best" / "7", state, metadata)
    return folder


def save_tiny_resumable(workdir: Path) -> Path:
    """Writes `student/best/7` and `student/last/7`, which training resumes from."""
    import jax.numpy as jnp
    import optax
    from flax import nnx

    from fakd_jax.training.checkpoints import PhaseCheckpoints
    from fakd_jax.training.state import Learner, initial_state

    learner = Learner(nnx.Linear(3, 4, rngs=nnx.Rngs(0)))
    state = initial_state(learner, optax.adam(1e-3))._replace(step=jnp.int32(7))
    checkpoints = PhaseCheckpoints(workdir / "student")
    position = {"early_stopping": {"best_step": 7}, "iterator": {}}
    metadata = {"arch": "linear", "num_classes": 4}
    checkpoints.save(learner, state, metadata, position, best=(state, metadata))
    checkpoints.close()
    return workdir


def edit_metadata(checkpoint: Path, **changes: object) -> None:
    """Changes keys of a checkpoint's metadata, as if it had been saved with them."""
    from fakd_jax.runtime.sha256sums import write_sums

    file = checkpoint / "metadata.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    write_sums(checkpoint)


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a folder and what is in them."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def write_image(path: Path, seed: int) -> Path:
    """Writes an image of noise, 40 pixels wide and 36 high."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (36, 40, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write_images(folder: Path, *, train: int = 10, test: int = 4, seed: int = 0) -> Path:
    """Writes `Training|Testing/<class>/*.png`: noise around the colour of the class."""
    generator = np.random.default_rng(seed)
    for split, count in (("Training", train), ("Testing", test)):
        for name, colour in zip(CLASS_NAMES, COLOURS, strict=True):
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                noise = generator.integers(-50, 50, (40, 36, 3))
                pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{index:03d}.png")
    return folder


def tiny_overrides(data: Path, cache: Path) -> dict[str, object]:
    """What makes `configs/fakd.py` tiny; `as_flags` turns it into a command line."""
    return {
        "data.source": str(data),
        "data.cache_dir": str(cache),
        "data.image_size": IMAGE_SIZE,
        "batch_size": 8,
        "eval_batch_size": 8,
        "teacher.arch": "tiny_resnet",
        "teacher.pretrained": "none",
        "teacher.num_epochs": 2,
        "teacher.batch_norm_momentum": 0.5,
        "student.arch": "tiny_mobilenet",
        "student.pretrained": "none",
        "student.num_epochs": 2,
        "student.batch_norm_momentum": 0.5,
        "distillation.student_layer": "features.4",
        "optimizer.learning_rate": 5e-3,
    }


def as_flags(overrides: dict[str, object]) -> list[str]:
    """`{"seed": 1}` as `["--config.seed=1"]`."""
    return [f"--config.{key}={value}" for key, value in overrides.items()]


def tiny_config(name: str, data: Path, cache: Path, **more: object) -> ExperimentConfig:
    """Reads `configs/<name>.py`, makes it tiny and parses it."""
    import importlib

    config = importlib.import_module(f"fakd_jax.configs.{name}").get_config()
    config.update_from_flattened_dict(tiny_overrides(data, cache) | more)
    return parse(config)


def tiny_study_overrides(data: Path, cache: Path) -> dict[str, object]:
    """What makes `configs/study.py` tiny; as long as other runs, for equal steps compile once."""
    return {f"base.{key}": value for key, value in tiny_overrides(data, cache).items()}


def tiny_study(data: Path, cache: Path, **study: object) -> ConfigDict:
    """Reads `configs/study.py` and makes it tiny; keywords are keys of its group `study`."""
    from fakd_jax.configs.study import get_config

    config = get_config()
    config.update_from_flattened_dict(tiny_study_overrides(data, cache))
    config.study.update(study)
    return config


def tiny_predictor(
    *,
    num_classes: int = 3,
    image_size: int = IMAGE_SIZE,
    batch_size: int = 4,
    dtype: str = "float32",
    intensity: str = "none",
) -> Predictor:
    """A predictor of `tiny_mobilenet` with random weights, classes '0', '1', …"""
    import jax.numpy as jnp
    from flax import nnx

    from fakd_jax import Predictor
    from fakd_jax.data.preprocessing import Preprocessing
    from fakd_jax.models import create_model

    return Predictor(
        create_model(
            "tiny_mobilenet", num_classes=num_classes, dtype=jnp.dtype(dtype), rngs=nnx.Rngs(0)
        ),
        {"arch": "tiny_mobilenet", "num_classes": num_classes},
        preprocessing=Preprocessing(image_size=image_size, intensity=intensity),
        checkpoint=Path("run/best/1"),
        batch_size=batch_size,
        dtype=dtype,
    )
