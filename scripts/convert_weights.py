"""Converts PyTorch weights to a checkpoint of fakd_jax.

    python scripts/convert_weights.py --arch resnet50 --input imagenet --output weights/resnet50
    python scripts/convert_weights.py --arch mobilenet_v3_large --input backbone.pth \
        --output weights/backbone --allow-missing classifier

A `.pth` file needs PyTorch (`pip install -e '.[convert]'`), a `.safetensors` file does not.
Everything in the file must fit the network. A head that it lacks, or has for another number of
classes, is initialised at random only if `--allow-missing` names it.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from fakd_jax.cli.runner import CommandParser, integer, run_command, use_compilation_cache
from fakd_jax.errors import UserError
from fakd_jax.models import create_model
from fakd_jax.models.checkpoint import METADATA_FILE, MODEL_FOLDER, load_metadata, save_model
from fakd_jax.models.registry import described, require_known
from fakd_jax.models.state import model_state
from fakd_jax.models.torch_weights import LoadReport, load_state_dict, read_state_dict
from fakd_jax.models.torch_weights.names import (
    NAMINGS,
    KeyTable,
    differing_settings,
    recognise,
)
from fakd_jax.models.torch_weights.pretrained import IMAGENET, fetch_imagenet
from fakd_jax.runtime.hashing import sha256_of_file
from fakd_jax.runtime.sha256sums import SUMS_FILE
from fakd_jax.version import __version__

IMAGENET_CLASSES = 1000


def main(argv: list[str]) -> None:
    """Converts, and prints what became of every weight."""
    flags = _parser().parse_args(argv)
    require_known(flags.arch)
    output = Path(flags.output).expanduser().absolute()
    replaces = _check_output(output)
    use_compilation_cache()

    download = flags.input == IMAGENET
    source = fetch_imagenet(flags.arch) if download else Path(flags.input).expanduser()
    state_dict = read_state_dict(source)
    skeleton = nnx.eval_shape(lambda: create_model(flags.arch, num_classes=1, rngs=nnx.Rngs(0)))
    table = recognise(skeleton, state_dict, flags.naming)
    _require_named(source, table, flags.naming)
    settings = differing_settings(skeleton, table)
    num_classes = flags.num_classes or _head_size(table, state_dict) or IMAGENET_CLASSES
    rngs = nnx.Rngs(flags.seed)
    model = create_model(flags.arch, num_classes=num_classes, rngs=rngs, **settings)
    report = dataclasses.replace(
        load_state_dict(model, state_dict, allow_missing=flags.allow_missing, table=table),
        source=str(source),
        sha256=sha256_of_file(source),
    )
    metadata = _metadata(flags.arch, num_classes, settings, report, flags.seed)
    save_model(output, model_state(model), metadata)

    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    print(report.summary())
    if settings:
        given = ", ".join(f"{name} {value}" for name, value in settings.items())
        print(f"as {table.naming}'s network, this one has {given}; the checkpoint keeps that")
    print(
        f"{'replaced' if replaces else 'wrote'} {output} ({size / 1e6:.1f} MB): {flags.arch}, "
        f"{num_classes} classes, head {report.head}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="convert_weights.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--arch", required=True, metavar="NAME", help="such as resnet50")
    parser.add_argument(
        "--input", required=True, metavar="FILE|imagenet", help="a .pth, .pt or .safetensors file"
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="folder of the checkpoint")
    parser.add_argument(
        "--num-classes",
        type=integer(1),
        metavar="N",
        help="default: that of the file's head, or 1000 if it has none",
    )
    parser.add_argument(
        "--allow-missing",
        nargs="+",
        default=[],
        metavar="PREFIX",
        help="keys that may be missing or misshaped, such as fc or classifier",
    )
    parser.add_argument(
        "--naming",
        choices=NAMINGS,
        default="",
        help="the library whose network this is (default: recognised by the keys; timm_tf has to "
        "be named, as timm's networks called tf_… have the keys of the others)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of random initial values (default 0)")
    return parser


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


def _require_named(source: Path, table: KeyTable, naming: str) -> None:
    """Refuses to guess which of timm's networks a file is from, if its name says tf_."""
    if "tf_" in source.name and table.naming == "timm" and not naming:
        raise UserError(
            f"{source} has timm's keys, and by its name is of a network with TensorFlow's padding; "
            "add --naming timm_tf, or --naming timm if it is not"
        )


def _head_size(table: KeyTable, state_dict: Mapping[str, np.ndarray]) -> int | None:
    """The number of classes of the file's head, None if it has none."""
    bias = state_dict.get(f"{table.logits}.bias")
    return None if bias is None else int(bias.shape[0])


def _metadata(
    arch: str, num_classes: int, settings: Mapping[str, Any], report: LoadReport, seed: int
) -> dict[str, Any]:
    return {
        **described(arch),
        "num_classes": num_classes,
        "class_names": None,
        "overrides": dict(settings),
        "preprocessing": None,
        "negative_class": None,
        "head": report.head,
        "source": {
            "file": Path(report.source or "").name,
            "sha256": report.sha256,
            "fresh": list(report.fresh),
            "left_out": list(report.left_out),
            "seed": seed if report.fresh else None,
        },
        "data": None,
        "config": None,
        "package_version": __version__,
    }


if __name__ == "__main__":
    run_command(main)
