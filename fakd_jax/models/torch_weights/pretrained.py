"""Weights to start from: torchvision's ImageNet files, a converted folder, or a user's file."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from pathlib import Path

from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.models.checkpoint import load_model, resolve_checkpoint
from fakd_jax.models.torch_weights.convert import LoadReport, load_state_dict, to_state_dict
from fakd_jax.models.torch_weights.download import download
from fakd_jax.models.torch_weights.files import read_state_dict
from fakd_jax.models.torch_weights.names import key_table
from fakd_jax.runtime.hashing import sha256_of_file

IMAGENET = "imagenet"
WEIGHTS_URL = "https://download.pytorch.org/models/"
WEIGHTS_URL_VARIABLE = "FAKD_JAX_WEIGHTS_URL"
CACHE_VARIABLE = "FAKD_JAX_CACHE"

# torchvision's IMAGENET1K_V1; the digits are the start of the file's SHA-256.
IMAGENET_FILES = {
    "resnet50": "resnet50-0676ba61.pth",
    "mobilenet_v3_large": "mobilenet_v3_large-8738ca79.pth",
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
    log: Callable[[str], None] = print,
) -> Path:
    """Finds torchvision's ImageNet weights in the cache, or downloads them once.

    Args:
      arch: `resnet50` or `mobilenet_v3_large`.
      cache_dir: where the file is kept; None for :func:`weights_cache`.
      base_url: of the folder that has the file; None for `FAKD_JAX_WEIGHTS_URL`, else PyTorch's.
      log: takes progress, a line at a time.

    Returns:
      The file, its SHA-256 checked against the digits in its name.

    Raises:
      UserError: no such weights, no network, a wrong hash, …; names the file to fetch by hand
        and where to put it.
    """
    if arch not in IMAGENET_FILES:
        raise UserError(
            f"there are no ImageNet weights for {arch!r} (only for {', '.join(IMAGENET_FILES)}); "
            "give a file or a converted folder, or none"
        )
    name = IMAGENET_FILES[arch]
    digits = re.search(r"-([0-9a-f]{8,64})\.", name)
    if digits is None:
        raise ValueError(f"{name} does not carry the start of its SHA-256")
    base = base_url or os.environ.get(WEIGHTS_URL_VARIABLE) or WEIGHTS_URL
    folder = weights_cache() if cache_dir is None else Path(cache_dir).expanduser()
    return download(
        f"{base.rstrip('/')}/{name}",
        folder.absolute() / name,
        sha256_prefix=digits.group(1),
        log=log,
    )


def load_pretrained(
    model: nnx.Module,
    arch: str,
    pretrained: Path | str,
    *,
    cache_dir: Path | str | None = None,
    log: Callable[[str], None] = print,
) -> LoadReport:
    """Fills a freshly made model with pretrained weights; a head that does not fit stays drawn.

    Args:
      model: as `create_model(arch, …)` made it; changed in place.
      arch: its name.
      pretrained: `imagenet`; a checkpoint folder, converted or trained; or a `.pth`, `.pt` or
        `.safetensors` file.
      cache_dir: of downloads.
      log: takes progress of a download, a line at a time.

    Returns:
      What was loaded; `fresh` names the head's keys that the weights lack or have for another
      class count. Tell the user its `summary()`.

    Raises:
      UserError: whatever is wrong with the weights, anything but the head that does not fit
        included; the model is then unchanged.
    """
    if str(pretrained) != IMAGENET and (path := Path(pretrained).expanduser()).is_dir():
        return _load_folder(model, arch, path)
    if str(pretrained) == IMAGENET:
        path = fetch_imagenet(arch, cache_dir=cache_dir, log=log)
    elif not path.exists():
        raise UserError(
            f"pretrained weights {str(pretrained)!r}: no such file or folder; "
            f"give one that exists, or '{IMAGENET}'"
        )
    report = load_state_dict(model, read_state_dict(path), allow_missing=[key_table(model).head])
    return dataclasses.replace(report, source=str(path), sha256=sha256_of_file(path))


def _load_folder(model: nnx.Module, arch: str, folder: Path) -> LoadReport:
    """Loads a checkpoint; what was merely drawn when it was converted is drawn anew here."""
    checkpoint = resolve_checkpoint(folder)
    state, metadata = load_model(checkpoint)
    if metadata["arch"] != arch:
        raise UserError(
            f"{checkpoint} holds a {metadata['arch']}, a {arch} is to be filled; "
            "give its own weights"
        )
    table = key_table(model)
    drawn = set((metadata.get("source") or {}).get("fresh", ()))
    weights = {key: v for key, v in to_state_dict(state, table).items() if key not in drawn}
    report = load_state_dict(model, weights, allow_missing=[table.head])
    return dataclasses.replace(report, source=str(checkpoint))
