"""Pretrained weights: torchvision's ImageNet files, a checkpoint folder, or a user's file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.models.checkpoint import load_metadata, load_model, resolve_checkpoint
from fakd_jax.models.registry import create_model
from fakd_jax.models.torch_weights.convert import (
    LoadReport,
    load_state_dict,
    require_settings,
    to_state_dict,
)
from fakd_jax.models.torch_weights.download import download
from fakd_jax.models.torch_weights.files import read_weights
from fakd_jax.models.torch_weights.locate import Weights
from fakd_jax.models.torch_weights.names import KeyTable, differing_settings, key_table
from fakd_jax.models.torch_weights.safetensors_files import sha256_of_weights
from fakd_jax.runtime.hashing import sha256_of_tree
from fakd_jax.runtime.hub import local_path

IMAGENET = "imagenet"
RANDOM = ("", "none")
"""What `pretrained` is for a network that is initialised at random."""
WEIGHTS_URL = "https://download.pytorch.org/models/"
WEIGHTS_URL_VARIABLE = "FAKD_JAX_WEIGHTS_URL"
CACHE_VARIABLE = "FAKD_JAX_CACHE"

# torchvision's IMAGENET1K_V1; the digits are the start of each file's SHA-256.
IMAGENET_FILES = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-0676ba61.pth",
    "resnet101": "resnet101-63fe2227.pth",
    "resnet152": "resnet152-394f9c45.pth",
    "mobilenet_v3_large": "mobilenet_v3_large-8738ca79.pth",
    "mobilenet_v3_small": "mobilenet_v3_small-047dcff4.pth",
    "efficientnet_b0": "efficientnet_b0_rwightman-7f5810bc.pth",
    "convnext_tiny": "convnext_tiny-983f1562.pth",
}


def weights_cache() -> Path:
    """The folder of downloaded weights (`FAKD_JAX_CACHE` overrides `~/.cache/fakd_jax`)."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser() / "weights"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "fakd_jax" / "weights"


def fetch_imagenet(
    arch: str,
    *,
    cache_dir: Path | str | None = None,
    base_url: str | None = None,
    log: Callable[[str], object] = print,
) -> Path:
    """Finds torchvision's ImageNet weights in the cache, or downloads them.

    Args:
      arch: one of :data:`IMAGENET_FILES`.
      cache_dir: folder of the file; None for :func:`weights_cache`.
      base_url: address of its folder; None for `FAKD_JAX_WEIGHTS_URL`, else PyTorch's.
      log: called with each line of progress.

    Returns:
      The file, its SHA-256 verified against the digits in its name.

    Raises:
      UserError: no such weights, or as of :func:`download`.
    """
    if arch not in IMAGENET_FILES:
        raise UserError(
            f"there are no ImageNet weights for {arch!r} (only for {', '.join(IMAGENET_FILES)}); "
            "give a file, a converted folder, or none"
        )
    name = IMAGENET_FILES[arch]
    digits = name.rpartition("-")[2].partition(".")[0]
    base = base_url or os.environ.get(WEIGHTS_URL_VARIABLE) or WEIGHTS_URL
    folder = weights_cache() if cache_dir is None else Path(cache_dir).expanduser()
    return download(
        f"{base.rstrip('/')}/{name}",
        folder.absolute() / name,
        sha256_prefix=digits,
        log=log,
    )


def checkpoint_folder(pretrained: Path | str) -> Path | None:
    """The folder that `pretrained` names, converted or trained; None if it names something else.

    A folder called `imagenet` or `none` can be given as `./imagenet`; a bundle on the Hub is
    pulled.

    Raises:
      UserError: see :func:`fakd_jax.runtime.hub.pull_bundle`.
    """
    if str(pretrained) in (IMAGENET, *RANDOM):
        return None
    path = local_path(pretrained).expanduser()
    return path if path.is_dir() else None


def pretrained_settings(arch: str, pretrained: Path | str) -> dict[str, Any]:
    """The settings that a network needs to compute what the network of its weights did.

    Args:
      arch: name of the network.
      pretrained: as of :func:`load_pretrained`, or one of :data:`RANDOM`.

    Returns:
      Keywords for `create_model` that differ from the network's defaults, such as the epsilon of
      timm's batch norms.

    Raises:
      UserError: the weights cannot be read.
    """
    if str(pretrained) in (IMAGENET, *RANDOM):
        return {}
    skeleton = nnx.eval_shape(lambda: create_model(arch, num_classes=1, rngs=nnx.Rngs(0)))
    if folder := checkpoint_folder(pretrained):
        return _stored_settings(load_metadata(resolve_checkpoint(folder)), key_table(skeleton))
    _, table = _read(_existing_file(pretrained), skeleton)
    return differing_settings(skeleton, table)


def _stored_settings(metadata: Mapping[str, Any], table: KeyTable) -> dict[str, Any]:
    """The settings of a checkpoint's network, without keywords that matter in training alone."""
    stored = metadata.get("overrides") or {}
    return {name: value for name, value in stored.items() if name in table.settings}


def _existing_file(pretrained: Path | str) -> Path:
    path = Path(pretrained).expanduser()
    if not path.is_file():
        raise UserError(
            f"pretrained weights {str(pretrained)!r}: no such file or folder; "
            f"give one that exists, or '{IMAGENET}'"
        )
    return path


def _read(path: Path, model: nnx.Module) -> tuple[Weights, KeyTable]:
    """A file's weights of a network, and the naming of their keys."""
    weights = read_weights(path, model)
    assert weights.table is not None
    return weights, weights.table


def load_pretrained(
    model: nnx.Module,
    arch: str,
    pretrained: Path | str,
    *,
    cache_dir: Path | str | None = None,
    log: Callable[[str], object] = print,
) -> LoadReport:
    """Fills a new model with pretrained weights; a head that does not fit keeps its initial values.

    Args:
      model: from `create_model(arch, …)`, with what :func:`pretrained_settings` returns; changed in
        place.
      arch: its name.
      pretrained: `imagenet`; a checkpoint folder, converted or trained; `hf://OWNER/NAME`, a
        bundle on the Hub; or a `.pth`, `.pt` or `.safetensors` file.
      cache_dir: folder of downloads.
      log: called with each line of a download's progress.

    Returns:
      What was loaded; `fresh` lists the head's keys that the weights lack or have for another
      number of classes.

    Raises:
      UserError: the weights cannot be read, anything but the head does not fit, or the model lacks
        a setting of the weights' network; the model is then unchanged.
    """
    if folder := checkpoint_folder(pretrained):
        return _load_folder(model, arch, folder)
    if str(pretrained) == IMAGENET:
        path = fetch_imagenet(arch, cache_dir=cache_dir, log=log)
    else:
        path = _existing_file(pretrained)
    weights, table = _read(path, model)
    require_settings(model, table.naming, differing_settings(model, table))
    report = load_state_dict(model, weights.arrays, allow_missing=[table.head], table=table)
    return dataclasses.replace(
        report,
        source=str(path),
        sha256=sha256_of_weights(path),
        notes=(*weights.notes, *report.notes),
    )


def _load_folder(model: nnx.Module, arch: str, folder: Path) -> LoadReport:
    """Loads a checkpoint, except layers that were initialised at random when it was converted."""
    checkpoint = resolve_checkpoint(folder)
    state, metadata = load_model(checkpoint)
    if metadata["arch"] != arch:
        raise UserError(
            f"{checkpoint} is a {metadata['arch']}, not a {arch}; give weights of that network"
        )
    table = key_table(model)
    stored = _stored_settings(metadata, table).items()
    lacking = {name: value for name, value in stored if getattr(model, name) != value}
    require_settings(model, str(checkpoint), lacking)
    fresh = set((metadata.get("source") or {}).get("fresh", ()))
    weights = {key: v for key, v in to_state_dict(state, table).items() if key not in fresh}
    report = load_state_dict(model, weights, allow_missing=[table.head], table=table)
    return dataclasses.replace(report, source=str(checkpoint), sha256=sha256_of_tree(state))
