"""A conversion: find the weights, fill the network, write the checkpoint."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from flax import nnx

from fakd_jax.convert.task import Task
from fakd_jax.errors import UserError
from fakd_jax.models import create_model
from fakd_jax.models.checkpoint import METADATA_FILE, MODEL_FOLDER, load_metadata, save_model
from fakd_jax.models.registry import described
from fakd_jax.models.state import model_state
from fakd_jax.models.torch_weights import LoadReport, load_state_dict, read_weights
from fakd_jax.models.torch_weights.names import KeyTable, differing_settings, key_table
from fakd_jax.models.torch_weights.pretrained import IMAGENET, fetch_imagenet
from fakd_jax.models.torch_weights.safetensors_files import sha256_of_weights
from fakd_jax.runtime.sha256sums import SUMS_FILE
from fakd_jax.version import __version__

IMAGENET_CLASSES = 1000
INCOMPLETE = (
    "it has no classes and no preprocessing: networks can start from it "
    "(config.<role>.pretrained); to evaluate, explain or distil from it, convert again with "
    "--class-names, --image-size, --mean and --std"
)


def convert_weights(
    arch: str,
    source: Path | str,
    output: Path | str,
    *,
    task: Task | None = None,
    num_classes: int | None = None,
    naming: str = "",
    key: str | None = None,
    ema: bool = False,
    head: str | None = None,
    grey_stem: bool = False,
    allow_missing: Sequence[str] = (),
    allow_extra: Sequence[str] = (),
    seed: int = 0,
    log: Callable[[str], object] = print,
) -> LoadReport:
    """Converts PyTorch weights to a checkpoint, and logs what became of every weight.

    Args:
      arch: the network's registered name.
      source: as of :func:`read_weights`; or `imagenet`, torchvision's weights.
      output: folder of the checkpoint; an earlier converted one is replaced.
      task: what makes the checkpoint complete; None if it is unknown.
      num_classes: None for the task's, else the file's, else 1000.
      naming: see :func:`read_weights`.
      key: see there.
      ema: see there.
      head: see there.
      grey_stem: see :func:`load_state_dict`.
      allow_missing: see there.
      allow_extra: see there.
      seed: of random initial values.
      log: called with lines for the user.

    Returns:
      What was loaded and what was not.

    Raises:
      UserError: the weights cannot be read or do not fit; the task has another number of classes;
        there is something else at `output`.
    """
    output = Path(output).expanduser().absolute()
    replaces = _check_output(output)
    download = str(source) == IMAGENET
    source = fetch_imagenet(arch, log=log) if download else Path(source).expanduser()
    skeleton = nnx.eval_shape(lambda: create_model(arch, num_classes=1, rngs=nnx.Rngs(0)))
    weights = read_weights(source, skeleton, naming=naming, key=key, ema=ema, head=head)
    table = weights.table
    assert table is not None
    for note in weights.notes:  # before the weights are refused, perhaps
        log(note)
    num_classes = _class_count(num_classes, task, weights.arrays, table)
    settings = differing_settings(skeleton, table)
    model = create_model(arch, num_classes=num_classes, rngs=nnx.Rngs(seed), **settings)
    report = dataclasses.replace(
        load_state_dict(
            model,
            weights.arrays,
            allow_missing=allow_missing,
            allow_extra=allow_extra,
            grey_stem=grey_stem,
            table=table,
        ),
        source=str(source),
        sha256=sha256_of_weights(source),
    )
    metadata = {
        **described(arch),
        "num_classes": num_classes,
        "class_names": None,
        "overrides": settings,
        "preprocessing": None,
        "negative_class": None,
        "head": report.head,
        "source": {
            "file": source.name,
            "sha256": report.sha256,
            "naming": table.naming,
            "fresh": _renamed(report.fresh, table, key_table(skeleton)),
            "left_out": list(report.left_out),
            "notes": [*weights.notes, *report.notes],
            "seed": seed if report.fresh else None,
        },
        "data": None,
        "config": None,
        "package_version": __version__,
    }
    save_model(output, model_state(model), metadata | (task.to_metadata() if task else {}))
    log(report.summary())
    if settings:
        given = ", ".join(f"{name} {value}" for name, value in settings.items())
        log(f"as {table.naming}'s network, this one has {given}; the checkpoint keeps that")
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    log(
        f"{'replaced' if replaces else 'wrote'} {output} ({size / 1e6:.1f} MB): {arch}, "
        f"{num_classes} classes, head {report.head}"
    )
    log(_what_for(task, report))
    return report


def _check_output(output: Path) -> bool:
    """Whether `output` is a checkpoint to be replaced; refuses anything else there."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return False
    names = {path.name for path in output.iterdir()} if output.is_dir() else set()
    if names - {SUMS_FILE} == {METADATA_FILE, MODEL_FOLDER}:
        load_metadata(output)
        return True
    raise UserError(
        f"{output} exists and is not a converted checkpoint; choose another --output, or remove it"
    )


def _class_count(
    asked: int | None, task: Task | None, arrays: Mapping[str, np.ndarray], table: KeyTable
) -> int:
    """The number of classes: asked for, named, the file's head's, or ImageNet's.

    Raises:
      UserError: two of the first three differ, where both must hold.
    """
    bias = arrays.get(f"{table.logits}.bias")
    in_file = None if bias is None else int(bias.shape[0])
    if task is None:
        return asked or in_file or IMAGENET_CLASSES
    named = len(task.class_names)
    if asked not in (None, named):
        raise UserError(f"--num-classes is {asked}, and --class-names has {named}; leave one out")
    if in_file not in (None, named):
        raise UserError(
            f"the file's head has {in_file} outputs, and --class-names has {named} "
            f"({', '.join(task.class_names)}); name each output"
        )
    return named


def _renamed(keys: Sequence[str], table: KeyTable, other: KeyTable) -> list[str]:
    """The keys of one table as another has them."""
    paths = [row.path_of(key) for key in keys for row in table.rows_of(key)]
    return sorted(str(other.key_of(path)) for path in paths if path is not None)


def _what_for(task: Task | None, report: LoadReport) -> str:
    """What the checkpoint can be used for."""
    if report.fresh:
        return f"its head is {report.head}: networks can start from it (config.<role>.pretrained)"
    if task is None:
        return INCOMPLETE
    size, mean, std = (getattr(task.preprocessing, key) for key in ("image_size", "mean", "std"))
    return (
        f"classes {', '.join(task.class_names)}; images of {size} pixels, mean {mean}, std {std}: "
        "evaluate and explain it with --checkpoint, distil from it with config.teacher.checkpoint"
    )
