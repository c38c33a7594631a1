"""An export: write, verify, and only then keep."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fakd_jax.errors import UserError
from fakd_jax.export.formats import FORMATS
from fakd_jax.inference.predictor import Predictor
from fakd_jax.runtime.atomic_files import make_folders, sync, writing

ADVICE = "choose another --output, or make room"


def export_checkpoint(
    checkpoint: Path | str,
    output: Path | str,
    *,
    format: str = "torch",
    log: Callable[[str], object] = print,
) -> Path:
    """Exports a checkpoint's network to a file that other software reads.

    The file is written under a hidden name, read back and compared with the network, and then
    renamed: there is no file that was not verified.

    Args:
      checkpoint: a workdir (its best student), or any checkpoint in it.
      output: the file to write; there must be none.
      format: one of :data:`FORMATS`.
      log: called with lines for the user.

    Returns:
      The file.

    Raises:
      UserError: no such checkpoint, or one that cannot predict; an unknown format; a wrong suffix;
        a file at `output`, or one that cannot be written; what was written differs.
    """
    if format not in FORMATS:
        raise UserError(f"unknown format {format!r}; choose one of {', '.join(FORMATS)}")
    chosen = FORMATS[format]
    output = Path(output).expanduser().absolute()
    if output.suffix != chosen.suffix:
        raise UserError(f"--output {output} does not end in {chosen.suffix}; give a name that does")
    if output.exists():
        raise UserError(f"{output} exists; choose another --output, or remove it")
    predictor = Predictor.from_checkpoint(checkpoint, dtype="float32", batch_size=2)
    unfinished = output.with_name(f".{secrets.token_hex(8)}.{output.name}")
    try:
        with writing(output, advice=ADVICE):
            make_folders(output.parent)
            chosen.write(predictor, unfinished)
            sync(unfinished)
        verified = chosen.verify(predictor, unfinished)
        with writing(output, advice=ADVICE):
            os.replace(unfinished, output)
            sync(output.parent)
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
    log(
        f"wrote {output} ({output.stat().st_size / 1e6:.1f} MB): {predictor.arch}, classes "
        f"{', '.join(predictor.class_names)}"
    )
    log(verified)
    log(chosen.usage(predictor, output))
    return output
