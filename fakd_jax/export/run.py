"""An export: write, verify, and only then keep."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fakd_jax.errors import UserError
from fakd_jax.export.bundle.bundle import as_folder
from fakd_jax.export.bundle.push import Destination, open_destination
from fakd_jax.export.formats import FORMATS, Format
from fakd_jax.export.images import find_images
from fakd_jax.export.request import NO_IMAGES, Request
from fakd_jax.inference.predictor import Predictor
from fakd_jax.runtime.atomic_files import make_folders, sync, sync_tree, writing

ADVICE = "choose another --output, or make room"
BATCH_SIZE = 16


def export_checkpoint(
    checkpoint: Path | str,
    output: Path | str,
    *,
    format: str = "torch",
    precision: str = "float32",
    source: str | None = None,
    cache_dir: Path | str | None = None,
    with_onnx: bool = False,
    push_to: str | None = None,
    public: bool = False,
    log: Callable[[str], object] = print,
) -> Path:
    """Exports a checkpoint's network to a file, or a folder, that is used elsewhere.

    It is written under a hidden name, read back and compared with the checkpoint on real images
    and on noise, and then renamed: there is no export that was not verified.

    Args:
      checkpoint: see :func:`fakd_jax.models.checkpoint.resolve_checkpoint`.
      output: the file or folder to write; there must be none.
      format: one of :data:`fakd_jax.export.formats.FORMATS`.
      precision: of the exported network, see :attr:`fakd_jax.export.formats.Format.precisions`.
      source: data to calibrate and verify on; None for the data trained on, if they are at hand.
      cache_dir: folder of prepared data; None for the checkpoint's.
      with_onnx: whether a bundle has an ONNX file too.
      push_to: `OWNER/NAME` on the Hugging Face Hub, to which a bundle is pushed once it is kept.
      public: whether anybody may read it there; else it is private.
      log: called with lines for the user.

    Returns:
      The file or folder.

    Raises:
      UserError: no such checkpoint, or one that cannot predict; an unknown format or precision; a
        wrong suffix; something at `output`, or it cannot be written; a missing library; data that
        cannot be used; what was written differs from the checkpoint; or a bundle cannot be pushed,
        which is kept then.
    """
    if format not in FORMATS:
        raise UserError(f"unknown format {format!r}; choose one of {', '.join(FORMATS)}")
    chosen = FORMATS[format]
    output = Path(output).expanduser().absolute()
    _check(chosen, format, output, precision, with_onnx)
    destination = _check_push(format, push_to, public)
    predictor = Predictor.from_checkpoint(checkpoint, dtype="float32", batch_size=BATCH_SIZE)
    images = NO_IMAGES
    if chosen.uses_images:
        images = find_images(predictor, source, cache_dir, log)
    request = Request(predictor, precision, images, with_onnx)
    unfinished = output.with_name(f".{secrets.token_hex(8)}.{output.name}")
    try:
        with writing(output, advice=ADVICE):
            make_folders(output.parent)
            chosen.write(request, unfinished)
            (sync_tree if unfinished.is_dir() else sync)(unfinished)
        verified = chosen.verify(request, unfinished)
        with writing(output, advice=ADVICE):
            os.replace(unfinished, output)
            sync(output.parent)
    finally:
        _discard(unfinished)
    log(
        f"wrote {output} ({_size(output) / 1e6:.1f} MB): {predictor.arch}, classes "
        f"{', '.join(predictor.class_names)}"
    )
    log(verified)
    log(chosen.usage(request, output))
    if destination is not None:
        _push(destination, output, log)
    return output


def _check(chosen: Format, name: str, output: Path, precision: str, with_onnx: bool) -> None:
    """Refuses what could not be written, before time is spent on it.

    Raises:
      UserError: see :func:`export_checkpoint`.
    """
    if output.suffix not in chosen.suffixes:
        kinds = " or ".join(suffix or "no suffix (a folder)" for suffix in chosen.suffixes)
        raise UserError(
            f"--output {output} does not end in {kinds}, as {name} does; give a name that does"
        )
    if output.exists():
        raise UserError(f"{output} exists; choose another --output, or remove it")
    if precision not in chosen.precisions:
        raise UserError(
            f"{name} is written in {' or '.join(chosen.precisions)}, not in {precision}; choose "
            "another --precision"
        )
    if with_onnx and name != "bundle":
        raise UserError("--with-onnx is for bundles; give --format bundle, or --format onnx")


def _check_push(name: str, push_to: str | None, public: bool) -> Destination | None:
    """Where a bundle is to be pushed, if anywhere.

    Raises:
      UserError: the format is no bundle, or see
        :func:`fakd_jax.export.bundle.push.open_destination`.
    """
    if push_to is None:
        if public:
            raise UserError("--public is for --push-to; give --push-to OWNER/NAME too")
        return None
    if name != "bundle":
        raise UserError("--push-to is for bundles; give --format bundle")
    return open_destination(push_to, public=public)


def _push(destination: Destination, bundle: Path, log: Callable[[str], object]) -> None:
    """Pushes a bundle, and logs how it is pulled.

    Raises:
      UserError: it cannot be pushed; the message says where the bundle is.
    """
    try:
        with as_folder(bundle) as folder:
            pushed = destination.push(folder)
    except UserError as error:
        raise UserError(
            f"{error}; the bundle is kept: to try again, give --checkpoint {bundle} and another "
            "--output"
        ) from error
    kind = "public" if destination.public else "private"
    log(f"pushed to {destination.repo} ({kind}); in any command: --checkpoint {pushed}")


def _size(path: Path) -> int:
    """Of a file, or of all files in a folder, in bytes."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(file.stat().st_size for file in files)


def _discard(path: Path) -> None:
    """Removes an export that was not kept, if there is one."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):
        path.unlink(missing_ok=True)
